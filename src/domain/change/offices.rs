//! The firm's own roles for people.

use super::{CustomOffice, Firm, Office, Outcome, Permission, Refusal, already, done, groups, refuse, valid_slug};

/// That an office that is to be given exists.
pub(super) fn check(firm: &Firm, office: &Office) -> Result<(), Refusal> {
    match office {
        Office::Custom(name) if !firm.offices.contains_key(name) => refuse(
            format!("the firm has no role custom:{name}"),
            format!("Define it first: ledgerward roles define {name} --may PERMISSION…"),
        ),
        _ => Ok(()),
    }
}

pub(super) fn define(firm: &mut Firm, name: &str, office: &CustomOffice) -> Outcome {
    if !valid_slug(name) {
        return refuse(format!("\"{name}\" cannot be a role's name"), "Small letters, digits and hyphens: payroll");
    }
    if office.permissions.contains(&Permission::HandOver) {
        return refuse("only the primary owner hands the office over", "Leave out: hand-over");
    }
    if let Some(group) = &office.group {
        groups::known(firm, group)?;
        if let Some(wide) = office.permissions.iter().find(|p| !p.fits_a_group()) {
            return refuse(
                format!("a role that is limited to a group cannot have the permission \"{}\"", wide.slug()),
                "Leave the permission out, or the group.",
            );
        }
    }
    let before = firm.offices.insert(name.to_owned(), office.clone());
    if before.as_ref() == Some(office) {
        return already(format!("the role custom:{name} is so already"));
    }
    let may: Vec<&str> = office.permissions.iter().map(|p| p.slug()).collect();
    let may = if may.is_empty() { "nothing but look at their own".to_owned() } else { may.join(", ") };
    let limit = office.group.as_ref().map_or_else(String::new, |g| format!(", for the clients of {g} only"));
    let has = firm.people.values().filter(|p| p.office == Office::Custom(name.to_owned())).count();
    done(format!("custom:{name} may {may}{limit} ({has} people have it)"))
}

pub(super) fn remove(firm: &mut Firm, name: &str) -> Outcome {
    check(firm, &Office::Custom(name.to_owned()))?;
    if let Some(p) = firm.people.values().find(|p| p.office == Office::Custom(name.to_owned())) {
        return refuse(
            format!("{} has the role custom:{name}", p.email),
            "Give another role first: ledgerward people office PERSON OFFICE --mode MODE",
        );
    }
    firm.offices.remove(name);
    done(format!("removed the role custom:{name}"))
}
