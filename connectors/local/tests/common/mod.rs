//! What a person would do with `setfacl`, written without it and without the connector's own code.

#![expect(
    clippy::indexing_slicing,
    reason = "the kernel's bytes have a known length; a wrong one should fail the test"
)]

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use rustix::fs::XattrFlags;

#[derive(Clone, Copy)]
pub enum Named {
    User(u32),
    Group(u32),
}

/// `setfacl -m u:ID:BITS` (or `g:`) on something that may have a list already.
pub fn name_in_acl(path: &Path, who: Named, bits: u16) {
    let mut buffer = vec![0_u8; 4096];
    let mut entries: Vec<(u16, u16, u32)> = match rustix::fs::getxattr(path, "system.posix_acl_access", &mut buffer[..])
    {
        Ok(n) => buffer[4..n]
            .chunks(8)
            .map(|e| {
                let id = u32::from_le_bytes([e[4], e[5], e[6], e[7]]);
                (u16::from_le_bytes([e[0], e[1]]), u16::from_le_bytes([e[2], e[3]]), id)
            })
            .collect(),
        Err(_) => {
            let mode = fs::metadata(path).unwrap().mode() as u16;
            vec![(1, mode >> 6 & 7, u32::MAX), (4, mode >> 3 & 7, u32::MAX), (0x20, mode & 7, u32::MAX)]
        }
    };
    let (tag, id) = match who {
        Named::User(id) => (2, id),
        Named::Group(id) => (8, id),
    };
    entries.retain(|e| (e.0, e.2) != (tag, id) && e.0 != 0x10);
    entries.push((tag, bits, id));
    let mask = entries.iter().filter(|e| [2, 4, 8].contains(&e.0)).fold(0, |all, e| all | e.1);
    entries.push((0x10, mask, u32::MAX));
    entries.sort_by_key(|e| (e.0, e.2));
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(bits.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    rustix::fs::setxattr(path, "system.posix_acl_access", &value, XattrFlags::empty()).unwrap();
}

/// Whether the file system there keeps POSIX ACLs.
pub fn has_acls(path: &Path) -> bool {
    !matches!(
        rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 4096][..]),
        Err(rustix::io::Errno::OPNOTSUPP)
    )
}
