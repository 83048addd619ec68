//! Access lists and people, as pure functions: bytes of the kernel <-> [`Acl`] <-> words of the contract.

use std::collections::BTreeMap;

use ledgerward_contract::{
    Email, Error, ErrorKind, FolderRole, Holder, PermissionId, Result, SeenPermission, SeenRole, Via,
};

/// A POSIX.1e access list. Permissions are the three bits r = 4, w = 2, x = 1.
///
/// The binary form is the value of the attributes `system.posix_acl_access` and `system.posix_acl_default`: a version
/// (2) and entries of tag, permissions and id, little endian (Linux, `include/uapi/linux/posix_acl_xattr.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl {
    pub owner: u8,
    pub users: BTreeMap<u32, u8>,
    pub group: u8,
    pub groups: BTreeMap<u32, u8>,
    /// Upper bound for everybody but the owner and `other`. The kernel wants one as soon as somebody is named.
    pub mask: Option<u8>,
    pub other: u8,
}

/// Somebody in an access list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Owner,
    User(u32),
    OwningGroup,
    Group(u32),
    Other,
}

pub(crate) const READ: u8 = 4;
pub(crate) const WRITE: u8 = 2;
pub(crate) const PASS: u8 = 1;
const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

impl Acl {
    /// The list of something that has only mode bits.
    pub fn from_mode(mode: u32) -> Self {
        let bits = |shift: u32| u8::try_from((mode >> shift) & 7).unwrap_or(0);
        Self {
            owner: bits(6),
            users: BTreeMap::new(),
            group: bits(3),
            groups: BTreeMap::new(),
            mask: None,
            other: bits(0),
        }
    }

    /// Reads the kernel's bytes. Anything that is not exactly a valid list is refused: a list that is half understood
    /// would hide somebody.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        let (entries, tail) = rest.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !tail.is_empty() {
            return None;
        }
        let (mut owner, mut group, mut mask, mut other) = (None, None, None, None);
        let (mut users, mut groups) = (BTreeMap::new(), BTreeMap::new());
        for [t0, t1, p0, p1, i0, i1, i2, i3] in entries {
            let perm = u8::try_from(u16::from_le_bytes([*p0, *p1])).ok().filter(|p| *p <= 7)?;
            let id = u32::from_le_bytes([*i0, *i1, *i2, *i3]);
            let earlier = match u16::from_le_bytes([*t0, *t1]) {
                0x01 => owner.replace(perm),
                0x02 => users.insert(id, perm),
                0x04 => group.replace(perm),
                0x08 => groups.insert(id, perm),
                0x10 => mask.replace(perm),
                0x20 => other.replace(perm),
                _ => return None,
            };
            if earlier.is_some() {
                return None;
            }
        }
        let acl = Self { owner: owner?, users, group: group?, groups, mask, other: other? };
        (acl.mask.is_some() || (acl.users.is_empty() && acl.groups.is_empty())).then_some(acl)
    }

    /// The kernel's bytes, in the order the kernel demands. A missing mask is made where one is needed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        let mut put = |tag: u16, perm: u8, id: u32| {
            out.extend(tag.to_le_bytes());
            out.extend(u16::from(perm).to_le_bytes());
            out.extend(id.to_le_bytes());
        };
        put(0x01, self.owner, NO_ID);
        for (id, perm) in &self.users {
            put(0x02, *perm, *id);
        }
        put(0x04, self.group, NO_ID);
        for (id, perm) in &self.groups {
            put(0x08, *perm, *id);
        }
        let named = !self.users.is_empty() || !self.groups.is_empty();
        if let Some(mask) = self.mask.or_else(|| named.then(|| self.union())) {
            put(0x10, mask, NO_ID);
        }
        put(0x20, self.other, NO_ID);
        out
    }

    fn union(&self) -> u8 {
        self.users.values().chain(self.groups.values()).fold(self.group, |all, p| all | p)
    }

    /// What an entry really gives, the mask applied.
    pub fn effective(&self, who: Who) -> u8 {
        let mask = self.mask.unwrap_or(7);
        match who {
            Who::Owner => self.owner,
            Who::User(id) => self.users.get(&id).map_or(0, |p| p & mask),
            Who::OwningGroup => self.group & mask,
            Who::Group(id) => self.groups.get(&id).map_or(0, |p| p & mask),
            Who::Other => self.other,
        }
    }

    /// Everybody who is in the list by name or by bits, the owner first.
    pub fn all(&self) -> impl Iterator<Item = Who> {
        std::iter::once(Who::Owner)
            .chain(self.users.keys().map(|id| Who::User(*id)))
            .chain(std::iter::once(Who::OwningGroup))
            .chain(self.groups.keys().map(|id| Who::Group(*id)))
            .chain(std::iter::once(Who::Other))
    }

    /// Whether a group or everybody can pass through a folder with this list, named users aside.
    pub fn open_to_many(&self) -> bool {
        self.all().any(|w| !matches!(w, Who::Owner | Who::User(_)) && self.effective(w) & PASS != 0)
    }

    /// The same list with this entry set to `perm`; 0 takes it out.
    ///
    /// The mask is then made anew, and so every other entry is first cut to what it gave until now: else a wider mask for
    /// one person would wake up somebody whom the old mask kept out.
    #[must_use]
    pub fn set(&self, who: Who, perm: u8) -> Self {
        let mut next = Self {
            owner: self.owner,
            users: self.users.keys().map(|id| (*id, self.effective(Who::User(*id)))).collect(),
            group: self.effective(Who::OwningGroup),
            groups: self.groups.keys().map(|id| (*id, self.effective(Who::Group(*id)))).collect(),
            mask: None,
            other: self.other,
        };
        match who {
            Who::Owner => next.owner = perm,
            Who::User(id) => _ = next.users.insert(id, perm),
            Who::OwningGroup => next.group = perm,
            Who::Group(id) => _ = next.groups.insert(id, perm),
            Who::Other => next.other = perm,
        }
        next.users.retain(|_, p| *p != 0);
        next.groups.retain(|_, p| *p != 0);
        next.mask = (!next.users.is_empty() || !next.groups.is_empty()).then(|| next.union());
        next
    }

    /// The list for a file in a folder with this list: nobody may execute a statement.
    #[must_use]
    pub fn for_file(&self) -> Self {
        let rw = READ | WRITE;
        let mut next = self.set(Who::Owner, rw);
        next.users.values_mut().chain(next.groups.values_mut()).for_each(|p| *p &= rw);
        next.group &= rw;
        next.other &= rw;
        next.mask = next.mask.map(|m| m & rw);
        next
    }
}

/// The bits of a role on a folder.
pub(crate) const fn folder_bits(role: FolderRole) -> u8 {
    match role {
        FolderRole::Reader => READ | PASS,
        FolderRole::Writer => READ | WRITE | PASS,
    }
}

/// A role from the bits on a folder. Odd combinations are shown as they are, never rounded to a role we know.
fn seen_role(bits: u8) -> SeenRole {
    match bits {
        5 => SeenRole::Reader,
        7 => SeenRole::Writer,
        _ => {
            let letter = |bit: u8, c: char| if bits & bit == 0 { '-' } else { c };
            SeenRole::Other([letter(READ, 'r'), letter(WRITE, 'w'), letter(PASS, 'x')].iter().collect())
        }
    }
}

impl Who {
    pub fn id(self) -> PermissionId {
        PermissionId(match self {
            Self::Owner => "owner".into(),
            Self::User(id) => format!("uid:{id}"),
            Self::OwningGroup => "group".into(),
            Self::Group(id) => format!("gid:{id}"),
            Self::Other => "other".into(),
        })
    }

    pub fn parse(id: &PermissionId) -> Option<Self> {
        Some(match id.as_str() {
            "owner" => Self::Owner,
            "group" => Self::OwningGroup,
            "other" => Self::Other,
            text => match text.split_once(':')? {
                ("uid", id) => Self::User(id.parse().ok()?),
                ("gid", id) => Self::Group(id.parse().ok()?),
                _ => return None,
            },
        })
    }
}

/// Which account belongs to which person, resolved for one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct People {
    by_uid: BTreeMap<u32, Email>,
    names: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
    /// Mapped people whose account this machine does not know.
    pub unknown: BTreeMap<Email, String>,
}

impl People {
    /// Joins the firm's `accounts` with the text of `/etc/passwd` and `/etc/group`. An account is a name or a number.
    ///
    /// Errors: `Config` where two people share an account, or one stands for root or for this service: then the access
    /// list could not say who is who.
    pub fn resolve(accounts: &BTreeMap<Email, String>, passwd: &str, group: &str, service: u32) -> Result<Self> {
        let (names, groups) = (ids(passwd), ids(group));
        let by_name: BTreeMap<&str, u32> = names.iter().map(|(id, name)| (name.as_str(), *id)).collect();
        let (mut by_uid, mut unknown) = (BTreeMap::new(), BTreeMap::new());
        for (email, account) in accounts {
            let Some(uid) = account.parse().ok().or_else(|| by_name.get(account.as_str()).copied()) else {
                unknown.insert(email.clone(), account.clone());
                continue;
            };
            if uid == 0 || uid == service || uid == NO_ID {
                return Err(config(format!("the account {account} of {email} is root's or this service's own"))
                    .next("Give every person in `accounts` an account of their own."));
            }
            if let Some(first) = by_uid.insert(uid, email.clone()) {
                return Err(config(format!("{first} and {email} have the same account {account} (uid {uid})"))
                    .next("Give every person in `accounts` an account of their own."));
            }
        }
        Ok(Self { by_uid, names, groups, unknown })
    }

    /// The account of a person.
    pub fn uid(&self, email: &Email) -> Result<u32> {
        self.by_uid.iter().find(|(_, e)| *e == email).map(|(uid, _)| *uid).ok_or_else(|| {
            let next =
                format!("Add \"{email}\" to `accounts` of this target, with a user name of this machine or a uid.");
            match self.unknown.get(email) {
                Some(account) => config(format!("this machine has no user \"{account}\" for {email}")).next(
                    "Correct `accounts`, or write the uid: only /etc/passwd is read, no directory server.".to_owned(),
                ),
                None => config(format!("no account on this machine is known for {email}")).next(next),
            }
        })
    }

    /// A user for people to read.
    pub fn user_name(&self, uid: u32) -> String {
        self.names.get(&uid).map_or_else(|| format!("uid {uid}"), |n| format!("{n} (uid {uid})"))
    }

    fn holder(&self, who: Who, uid: u32, gid: u32) -> Holder {
        let user = |uid| match self.by_uid.get(&uid) {
            Some(email) => Holder::Person(email.clone()),
            None => Holder::Opaque(self.user_name(uid)),
        };
        let group = |gid: u32| match self.groups.get(&gid) {
            Some(name) => Holder::Group(format!("{name} (gid {gid})")),
            None => Holder::Group(format!("gid {gid}")),
        };
        match who {
            Who::Owner => user(uid),
            Who::User(uid) => user(uid),
            Who::OwningGroup => group(gid),
            Who::Group(gid) => group(gid),
            Who::Other => Holder::Everyone("every user of this machine".into()),
        }
    }
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, "accounts.resolve", message)
}

/// Lines `name:x:id:…` of `/etc/passwd` or `/etc/group`. The first line of an id wins, as in the C library.
fn ids(text: &str) -> BTreeMap<u32, String> {
    let mut map = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(id))) = (fields.next(), fields.next(), fields.next().map(str::parse)) {
            map.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    map
}

/// A thing on the disk: whose it is and its list.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub uid: u32,
    pub gid: u32,
    pub acl: Acl,
}

/// The folder's own list, as the contract says it.
pub(crate) fn direct(folder: &Owned, people: &People, service: u32) -> Vec<SeenPermission> {
    let Owned { uid, gid, acl } = folder;
    let seen = |who: Who| {
        let bits = acl.effective(who);
        let us = matches!(who, Who::User(id) if id == service);
        (bits != 0 && !us).then(|| SeenPermission {
            id: who.id(),
            holder: people.holder(who, *uid, *gid),
            role: if who == Who::Owner { SeenRole::Owner } else { seen_role(bits) },
            via: Via::Direct,
            pending: false,
            ourselves: who == Who::Owner && *uid == service,
            expires: None,
        })
    };
    acl.all().filter_map(seen).collect()
}

/// Ways in below the folder that its own list does not show.
///
/// Whoever is named in a list below was let in by somebody's act and is always reported. Owner, group and `other` bits
/// below are what moving a file leaves behind; they count only where the folder lets more than named users pass.
pub(crate) fn below(folder: &Owned, path: &str, it: &Owned, people: &People, service: u32) -> Vec<SeenPermission> {
    let open = folder.acl.open_to_many();
    let extra = |who: Who| match who {
        Who::User(id) => id != service && id != folder.uid && folder.acl.effective(who) == 0,
        Who::Group(_) => folder.acl.effective(who) == 0,
        Who::Owner => open && it.uid != folder.uid && folder.acl.effective(Who::User(it.uid)) == 0,
        Who::OwningGroup => open && (it.gid != folder.gid || folder.acl.effective(who) == 0),
        Who::Other => open && folder.acl.effective(who) == 0,
    };
    let seen = |who: Who| SeenPermission {
        id: who.id(),
        holder: people.holder(who, it.uid, it.gid),
        role: seen_role(it.acl.effective(who) | PASS),
        via: Via::Below(path.to_owned()),
        pending: false,
        ourselves: false,
        expires: None,
    };
    it.acl.all().filter(|w| it.acl.effective(*w) != 0 && extra(*w)).map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    /// What `setfacl -m u:1234:rx` makes of mode 0750, as the kernel gave it.
    const REAL: [u8; 44] = [
        2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 5, 0, 210, 4, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255, 16, 0, 5,
        0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
    ];

    #[test]
    fn a_list_of_the_kernel_is_read_and_written_as_it_is() {
        let acl = Acl::decode(&REAL).unwrap();
        assert_eq!((acl.owner, acl.users.get(&1234), acl.mask, acl.other), (7, Some(&5), Some(5), 0));
        assert_eq!(acl.encode(), REAL);
    }

    #[test]
    fn p04_a_list_that_is_not_whole_is_no_list() {
        for cut in 0..REAL.len() {
            assert_eq!(Acl::decode(&REAL[..cut]), None, "{cut}");
        }
        for (at, value) in [(0, 1), (4, 3), (6, 8), (7, 1), (12, 1), (36, 16), (28, 8)] {
            let mut bad = REAL;
            bad[at] = value;
            assert_eq!(Acl::decode(&bad), None, "byte {at} = {value}");
        }
    }

    #[test]
    fn a_wider_mask_wakes_nobody_up() {
        let mut acl = Acl::decode(&REAL).unwrap();
        acl.users.insert(9, 7);
        acl.mask = Some(0);
        assert_eq!(acl.effective(Who::User(9)), 0);
        let next = acl.set(Who::User(1234), 7);
        assert_eq!((next.effective(Who::User(1234)), next.effective(Who::User(9))), (7, 0));
    }

    #[test]
    fn by_product_bits_below_count_only_where_the_folder_lets_many_pass() {
        let people = People::default();
        let closed = Owned { uid: 1, gid: 1, acl: Acl::from_mode(0o700) };
        let file = Owned { uid: 1, gid: 1, acl: Acl::from_mode(0o644) };
        assert!(below(&closed, "f", &file, &people, 1).is_empty());
        let passable = Owned { acl: Acl::from_mode(0o711), ..closed.clone() };
        let dead = Owned { acl: Acl::from_mode(0o710), ..closed.clone() };
        assert_eq!(below(&passable, "f", &file, &people, 1).len(), 0, "they are on the folder's own list already");
        assert_eq!(direct(&passable, &people, 1).len(), 3);
        assert_eq!(below(&dead, "f", &file, &people, 1).len(), 1, "a group passes, and `other` reads below");
        let named = Owned { acl: file.acl.set(Who::User(77), READ), ..file };
        assert_eq!(below(&closed, "f", &named, &people, 1).len(), 1, "somebody's act is always shown");
    }

    #[test]
    fn accounts_are_names_or_numbers_and_never_two_people() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1001:1001::/:/bin/sh\nbroken line\nann2:x:1001:1::/:\n";
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(e, a)| (email(e), (*a).to_owned())).collect();
        let people = |pairs| People::resolve(&map(pairs), passwd, "staff:x:50:ann\n", 500);
        let ok =
            people(&[("ann@firm.example", "ann"), ("bob@firm.example", "1002"), ("cy@firm.example", "cyd")]).unwrap();
        assert_eq!(ok.uid(&email("ANN@firm.example")).unwrap(), 1001);
        assert_eq!(ok.uid(&email("bob@firm.example")).unwrap(), 1002);
        let missing = ok.uid(&email("cy@firm.example")).unwrap_err();
        assert!(missing.message.contains("no user \"cyd\""), "{missing}");
        assert_eq!(ok.uid(&email("dot@firm.example")).unwrap_err().kind, ErrorKind::Config);
        assert!(people(&[("ann@firm.example", "ann"), ("bob@firm.example", "1001")]).is_err());
        assert!(people(&[("ann@firm.example", "root")]).is_err());
        assert!(people(&[("ann@firm.example", "500")]).is_err());
    }

    fn acls() -> impl Strategy<Value = Acl> {
        let named = || proptest::collection::btree_map(0..50_u32, 0..8_u8, 0..5);
        (0..8_u8, named(), 0..8_u8, named(), proptest::option::of(0..8_u8), 0..8_u8).prop_map(
            |(owner, users, group, groups, mask, other)| {
                let mask = mask.or((!users.is_empty() || !groups.is_empty()).then_some(7));
                Acl { owner, users, group, groups, mask, other }
            },
        )
    }

    proptest! {
        #[test]
        fn lists_survive_the_way_to_the_kernel_and_back(acl in acls()) {
            prop_assert_eq!(Acl::decode(&acl.encode()), Some(acl));
        }

        #[test]
        fn any_bytes_are_a_list_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(acl) = Acl::decode(&bytes) {
                prop_assert_eq!(Acl::decode(&acl.encode()), Some(acl));
            }
        }

        #[test]
        fn setting_one_changes_one(acl in acls(), uid in 0..50_u32, perm in 0..8_u8) {
            let next = acl.set(Who::User(uid), perm);
            prop_assert_eq!(next.effective(Who::User(uid)), perm);
            for who in acl.all().filter(|w| *w != Who::User(uid)) {
                prop_assert_eq!(next.effective(who), acl.effective(who), "{:?}", who);
            }
            for who in next.all() {
                prop_assert_eq!(Who::parse(&who.id()), Some(who));
                prop_assert_eq!(next.for_file().effective(who) & PASS, 0);
            }
        }
    }
}
