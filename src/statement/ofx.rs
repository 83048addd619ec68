//! OFX 2.2 for a bank's own statement lines (specification: ofx.org, OFX Banking 2.2, chapters 2, 3 and 11).
//!
//! Written only where the source supplied a closing balance (`decisions` 26): a ledger balance is a required element, and
//! a made-up one would be imported as the truth.

use std::collections::BTreeSet;

use ledgerward_contract::{AccountKind, Date, Decimal, Register, RegisterLine, RegisterSource, Timestamp};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesPI, BytesStart, BytesText, Event},
};
use sha2::{Digest, Sha256};

use super::{
    Finding, Format, RenderError,
    model::{Body, ContentHash, Statement},
};

pub fn render(statement: &Statement, findings: &mut BTreeSet<Finding>) -> Result<Vec<u8>, RenderError> {
    let Body::Register(register) = &statement.body else {
        return Err(RenderError::NoOfx("OFX holds the lines of a bank account, and this is a report"));
    };
    if register.source == RegisterSource::Books {
        return Err(RenderError::NoOfx(
            "these lines are the books' own; a file that a bank could have sent is made of the bank's lines only",
        ));
    }
    let Some(closing) = register.closing else {
        return Err(RenderError::NoOfx(
            "the source supplied no closing balance, and OFX requires one; CSV and XLSX have the same lines",
        ));
    };
    let currency = statement.head.currency.as_deref().or(register.currency.as_deref());
    let Some(currency) = currency.filter(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase())) else {
        return Err(RenderError::NoOfx("the source gave no currency, and OFX requires one"));
    };
    let account = account_number(register, findings);
    let mut xml = Xml(Writer::new_with_indent(Vec::new(), b' ', 1));
    document(&mut xml, statement, register, closing, currency, &account, findings)
        .map_err(|e| RenderError::failed(Format::Ofx, e))?;
    let mut bytes = xml.0.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn document(
    xml: &mut Xml,
    statement: &Statement,
    register: &Register,
    closing: Decimal,
    currency: &str,
    account: &str,
    findings: &mut BTreeSet<Finding>,
) -> std::io::Result<()> {
    let head = &statement.head;
    let card = head.account_kind == Some(AccountKind::CreditCard);
    let [messages, transaction, response, from] = if card {
        ["CREDITCARDMSGSRSV1", "CCSTMTTRNRS", "CCSTMTRS", "CCACCTFROM"]
    } else {
        ["BANKMSGSRSV1", "STMTTRNRS", "STMTRS", "BANKACCTFROM"]
    };
    xml.0.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), Some("no"))))?;
    xml.0.write_event(Event::PI(BytesPI::new(
        r#"OFX OFXHEADER="200" VERSION="220" SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE""#,
    )))?;
    xml.inside("OFX", |xml| {
        xml.inside("SIGNONMSGSRSV1", |xml| {
            xml.inside("SONRS", |xml| {
                status(xml)?;
                xml.leaf("DTSERVER", &moment(head.first_read))?;
                xml.leaf("LANGUAGE", "ENG")
            })
        })?;
        xml.inside(messages, |xml| {
            xml.inside(transaction, |xml| {
                // An answer that nobody asked for has the id 0 (2.4.6.1).
                xml.leaf("TRNUID", "0")?;
                status(xml)?;
                xml.inside(response, |xml| {
                    xml.leaf("CURDEF", currency)?;
                    xml.inside(from, |xml| {
                        if card {
                            return xml.leaf("ACCTID", account);
                        }
                        // Required, and no ledger gives it.
                        xml.leaf("BANKID", "UNKNOWN")?;
                        xml.leaf("ACCTID", account)?;
                        xml.leaf("ACCTTYPE", "CHECKING")
                    })?;
                    xml.inside("BANKTRANLIST", |xml| {
                        xml.leaf("DTSTART", &day(head.period.start))?;
                        xml.leaf("DTEND", &day(head.period.end))?;
                        transactions(xml, &register.lines, findings)
                    })?;
                    xml.inside("LEDGERBAL", |xml| {
                        xml.leaf("BALAMT", &super::money::plain(closing))?;
                        xml.leaf("DTASOF", &day(register.closing_on.unwrap_or(head.period.end)))
                    })
                })
            })
        })
    })
}

fn status(xml: &mut Xml) -> std::io::Result<()> {
    xml.inside("STATUS", |xml| {
        xml.leaf("CODE", "0")?;
        xml.leaf("SEVERITY", "INFO")
    })
}

fn transactions(xml: &mut Xml, lines: &[RegisterLine], findings: &mut BTreeSet<Finding>) -> std::io::Result<()> {
    let mut used = BTreeSet::new();
    let mut made = 0;
    for line in lines {
        let id = if line.id.is_empty() || line.id.len() > 255 || used.contains(&line.id) {
            made += 1;
            own_id(line, &used)
        } else {
            line.id.clone()
        };
        xml.inside("STMTTRN", |xml| {
            let spent = line.amount.is_sign_negative();
            let kind = if line.amount.is_zero() {
                "OTHER"
            } else if spent {
                "DEBIT"
            } else {
                "CREDIT"
            };
            xml.leaf("TRNTYPE", kind)?;
            xml.leaf("DTPOSTED", &day(line.date))?;
            xml.leaf("TRNAMT", &super::money::plain(line.amount))?;
            xml.leaf("FITID", &id)?;
            xml.optional("REFNUM", &line.reference, 32)?;
            let (name, memo) = match (line.payee.trim(), line.description.trim()) {
                ("", what) => (what, what),
                (payee, what) => (payee, what),
            };
            xml.optional("NAME", name, 32)?;
            // What does not fit the short name is not lost.
            let memo = match (name.chars().count() > 32, memo.is_empty() || memo == name) {
                (true, true) => name.to_owned(),
                (true, false) => format!("{name} · {memo}"),
                (false, true) => String::new(),
                (false, false) => memo.to_owned(),
            };
            xml.optional("MEMO", &memo, 255)
        })?;
        used.insert(id);
    }
    if made > 0 {
        findings.insert(Finding::MadeIds(made));
    }
    Ok(())
}

/// An id from what the line says, the same in every rendering; equal lines are numbered in their order.
fn own_id(line: &RegisterLine, used: &BTreeSet<String>) -> String {
    let RegisterLine { id, date, kind, payee, reference, description, amount, .. } = line;
    let text = [id, &date.to_string(), kind, payee, reference, description, &amount.normalize().to_string()]
        .map(|part| format!("{}:{part}", part.len()))
        .concat();
    let mut hex = ContentHash(Sha256::digest(text.as_bytes()).into()).to_string();
    hex.truncate(32);
    let numbered = (2..).map(|n| format!("{hex}-{n}"));
    std::iter::once(hex.clone()).chain(numbered).find(|id| !used.contains(id)).unwrap_or(hex)
}

/// At most 22 characters (type A-22).
fn account_number(register: &Register, findings: &mut BTreeSet<Finding>) -> String {
    let given = match register.account_number.as_deref().map(str::trim) {
        Some(number) if !number.is_empty() => number,
        _ => {
            findings.insert(Finding::NoAccountNumber);
            register.account.as_str()
        }
    };
    if given.chars().count() <= 22 {
        return given.to_owned();
    }
    let bare: Vec<char> = given.chars().filter(|c| c.is_alphanumeric()).collect();
    if bare.len() > 22 && !findings.contains(&Finding::NoAccountNumber) {
        findings.insert(Finding::LongAccountNumber);
    }
    bare.get(bare.len().saturating_sub(22)..).unwrap_or_default().iter().collect()
}

fn day(day: Date) -> String {
    day.strftime("%Y%m%d").to_string()
}

fn moment(at: Timestamp) -> String {
    format!("{}[0:GMT]", at.strftime("%Y%m%d%H%M%S.000"))
}

struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn inside(&mut self, name: &str, content: impl FnOnce(&mut Self) -> std::io::Result<()>) -> std::io::Result<()> {
        self.0.write_event(Event::Start(BytesStart::new(name)))?;
        content(self)?;
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    fn leaf(&mut self, name: &str, text: &str) -> std::io::Result<()> {
        self.inside(name, |xml| xml.0.write_event(Event::Text(BytesText::new(&legal(text)))))
    }

    /// Nothing for an empty text: OFX has no empty elements.
    fn optional(&mut self, name: &str, text: &str, most: usize) -> std::io::Result<()> {
        let cut: String = legal(text).chars().take(most).collect();
        if cut.trim().is_empty() { Ok(()) } else { self.leaf(name, cut.trim()) }
    }
}

/// One line, without what XML 1.0 cannot hold.
fn legal(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect()
}
