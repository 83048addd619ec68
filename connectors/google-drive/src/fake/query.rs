//! The search language of `files.list`, as far as this fake goes; anything else is refused as Google refuses it.

/// A parsed condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    And(Box<Query>, Box<Query>),
    Or(Box<Query>, Box<Query>),
    Not(Box<Query>),
    Parent(String),
    Trashed(bool),
    Name { is: bool, text: String },
    NameContains(String),
    Mime { is: bool, text: String },
    MimeContains(String),
    AppProperty { key: String, value: String },
    Property { key: String, value: String },
    SharedWithMe(bool),
    Holder { email: String, list: &'static str },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    Word(String),
    Sign(&'static str),
}

/// Errors: `Invalid Value`, as Google says and no more.
pub fn parse(text: &str) -> Result<Query, String> {
    let tokens = tokens(text).ok_or("Invalid Value")?;
    let mut p = Parser { tokens: &tokens };
    let q = p.or().ok_or("Invalid Value")?;
    if p.tokens.is_empty() { Ok(q) } else { Err("Invalid Value".to_owned()) }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\n' => {
                chars.next();
            }
            '\'' => {
                chars.next();
                let mut s = String::new();
                loop {
                    match chars.next()? {
                        '\\' => match chars.next()? {
                            e @ ('\\' | '\'') => s.push(e),
                            _ => return None,
                        },
                        '\'' => break,
                        other => s.push(other),
                    }
                }
                out.push(Token::Text(s));
            }
            '(' | ')' | '{' | '}' | '=' => {
                chars.next();
                out.push(Token::Sign(match c {
                    '(' => "(",
                    ')' => ")",
                    '{' => "{",
                    '}' => "}",
                    _ => "=",
                }));
            }
            '!' => {
                chars.next();
                (chars.next()? == '=').then_some(())?;
                out.push(Token::Sign("!="));
            }
            c if c.is_ascii_alphabetic() => {
                let mut s = String::new();
                while let Some(&c) = chars.peek().filter(|c| c.is_ascii_alphanumeric()) {
                    s.push(c);
                    chars.next();
                }
                out.push(Token::Word(s));
            }
            _ => return None,
        }
    }
    Some(out)
}

struct Parser<'a> {
    tokens: &'a [Token],
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        (self.tokens.first() == Some(&Token::Word(word.to_owned()))).then(|| self.next().map(|_| ()))?
    }

    fn sign(&mut self, sign: &'static str) -> Option<()> {
        (self.tokens.first() == Some(&Token::Sign(sign))).then(|| self.next().map(|_| ()))?
    }

    fn text(&mut self) -> Option<String> {
        match self.next()? {
            Token::Text(s) => Some(s),
            _ => None,
        }
    }

    fn or(&mut self) -> Option<Query> {
        let mut q = self.and()?;
        while self.word("or").is_some() {
            q = Query::Or(Box::new(q), Box::new(self.and()?));
        }
        Some(q)
    }

    fn and(&mut self) -> Option<Query> {
        let mut q = self.not()?;
        while self.word("and").is_some() {
            q = Query::And(Box::new(q), Box::new(self.not()?));
        }
        Some(q)
    }

    fn not(&mut self) -> Option<Query> {
        if self.word("not").is_some() {
            return Some(Query::Not(Box::new(self.not()?)));
        }
        if self.sign("(").is_some() {
            let q = self.or()?;
            self.sign(")")?;
            return Some(q);
        }
        self.term()
    }

    fn equals(&mut self) -> Option<bool> {
        match self.next()? {
            Token::Sign("=") => Some(true),
            Token::Sign("!=") => Some(false),
            _ => None,
        }
    }

    fn boolean(&mut self) -> Option<bool> {
        let is = self.equals()?;
        match self.next()? {
            Token::Word(w) if w == "true" => Some(is),
            Token::Word(w) if w == "false" => Some(!is),
            _ => None,
        }
    }

    fn term(&mut self) -> Option<Query> {
        match self.next()? {
            Token::Text(id) => {
                self.word("in")?;
                match self.next()? {
                    Token::Word(w) => match w.as_str() {
                        "parents" => Some(Query::Parent(id)),
                        "owners" => Some(Query::Holder { email: id, list: "owners" }),
                        "writers" => Some(Query::Holder { email: id, list: "writers" }),
                        "readers" => Some(Query::Holder { email: id, list: "readers" }),
                        _ => None,
                    },
                    _ => None,
                }
            }
            Token::Word(w) => match w.as_str() {
                "trashed" => self.boolean().map(Query::Trashed),
                "sharedWithMe" => {
                    if matches!(self.tokens.first(), Some(Token::Sign("=" | "!="))) {
                        self.boolean().map(Query::SharedWithMe)
                    } else {
                        Some(Query::SharedWithMe(true))
                    }
                }
                "name" if self.word("contains").is_some() => self.text().map(Query::NameContains),
                "name" => Some(Query::Name { is: self.equals()?, text: self.text()? }),
                "mimeType" if self.word("contains").is_some() => self.text().map(Query::MimeContains),
                "mimeType" => Some(Query::Mime { is: self.equals()?, text: self.text()? }),
                "appProperties" => self.property().map(|(key, value)| Query::AppProperty { key, value }),
                "properties" => self.property().map(|(key, value)| Query::Property { key, value }),
                _ => None,
            },
            Token::Sign(_) => None,
        }
    }

    fn property(&mut self) -> Option<(String, String)> {
        self.word("has")?;
        self.sign("{")?;
        self.word("key")?;
        self.sign("=")?;
        let key = self.text()?;
        self.word("and")?;
        self.word("value")?;
        self.sign("=")?;
        let value = self.text()?;
        self.sign("}")?;
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_clients_send() {
        assert_eq!(
            parse(r"'a' in parents and (trashed=false or not name = 'O\'Brien \\ Co')").unwrap(),
            Query::And(
                Box::new(Query::Parent("a".into())),
                Box::new(Query::Or(
                    Box::new(Query::Trashed(false)),
                    Box::new(Query::Not(Box::new(Query::Name { is: true, text: r"O'Brien \ Co".into() })))
                ))
            )
        );
        assert!(parse("appProperties has { key='k' and value='v' } and mimeType != 'x'").is_ok());
    }

    #[test]
    fn refuses_the_rest() {
        for bad in [
            "",
            "name",
            "name = O'Brien",
            "name = 'O'Brien'",
            "foo = 'x'",
            "trashed",
            "'a' in",
            "(trashed=true",
            "name like 'x'",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
