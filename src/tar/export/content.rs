//! Content objects: each is written once, with its xattrs, and its places in the checkout are links to it.

use ostree_format::{Checksum, FileHeader, FileId, FileKind, ObjectName, ObjectType, Xattrs};
use tar::{EntryType, Header};

use super::super::chunk::ChunkContent;
use super::super::error::{Error, Result};
use super::super::layout::{object_path, xattrs_path};
use super::super::writer::MAX_NAMES;
use super::{Exporter, XattrDialect, new_header};
use crate::store::{self, FileObject};

/// The label of SELinux, which is made anew where an image is unpacked.
pub(crate) const SELINUX_XATTR: &[u8] = b"security.selinux";

impl Exporter<'_> {
    pub(super) fn write_content(&mut self, content: &ChunkContent) -> Result<()> {
        for (id, paths) in content.iter_in(self.options.order) {
            self.ctx.cancel.check()?;
            let (object, header) = self.write_object(&id)?;
            for path in &paths {
                if let Some(place) = self.map.map(path) {
                    self.write_place(&id, &object, header.clone(), place)?;
                }
            }
        }
        Ok(())
    }

    /// Writes a content object, unless it was. Its path, and the header that its places are links with:
    /// after the name they show what lay in the header of the object.
    pub(super) fn write_object(&mut self, id: &FileId) -> Result<(String, Header)> {
        let name = ObjectName::from(*id);
        let path = object_path(&name);
        let file = self.store.open_file(id)?.ok_or(store::Error::NotFound(name))?;
        let mut header = new_header(None, file.header.uid, file.header.gid, file.header.permissions);
        header.set_size(file.len);
        self.set_time(&mut header);
        if self.files.contains_key(id) {
            if file.header.symlink_target().is_some() {
                header.set_entry_type(EntryType::Symlink);
            }
            return Ok((path, header));
        }
        self.files.insert(*id, 1);
        self.write_xattrs(id, &file.header)?;
        let len = file.len;
        self.write_content_at(id, &path, &mut header, file)?;
        self.ctx.object_done(len);
        Ok((path, header))
    }

    /// Writes a content object to `path`; `header` gets what it lacks.
    pub(super) fn write_content_at(
        &mut self,
        id: &FileId,
        path: &str,
        header: &mut Header,
        mut file: FileObject,
    ) -> Result<()> {
        if self.options.xattrs == XattrDialect::Copied || self.on_base.is_some() {
            self.write_unpacked_xattrs(&file.header.xattrs)?;
        }
        match &file.header.kind {
            FileKind::Symlink(target) => {
                header.set_entry_type(EntryType::Symlink);
                let target = target.clone();
                self.out.append_link(header, path, &target)?;
            }
            FileKind::Regular => {
                header.set_entry_type(EntryType::Regular);
                let (len, name) = (file.len, ObjectName::from(*id));
                let read = |source| store::Error::Read { what: name.to_string(), source }.into();
                self.out.append_stream(header, path, len, &mut file, &read)?;
            }
        }
        Ok(())
    }

    /// Writes the xattrs that programs which unpack the image see.
    pub(super) fn write_unpacked_xattrs(&mut self, xattrs: &Xattrs) -> Result<()> {
        let others = xattrs.iter().filter(|(name, _)| *name != SELINUX_XATTR);
        self.out.append_pax(others.map(|(name, value)| ([b"SCHILY.xattr.", name].concat(), value)))
    }

    pub(super) fn write_xattrs(&mut self, id: &FileId, header: &FileHeader) -> Result<()> {
        let bytes = header.xattrs.to_bytes();
        let link = object_path(&ObjectName::new(*id.checksum(), ObjectType::FileXattrsLink));
        if self.options.xattrs == XattrDialect::Copied {
            return self.write_file(&link, &bytes);
        }
        let checksum = Checksum::of(&bytes);
        let set = xattrs_path(&checksum);
        let names = self.xattr_sets.entry(checksum).or_default();
        *names += 1;
        match *names {
            1 => {
                *names += 1;
                self.write_file(&set, &bytes)?;
            }
            names if names > MAX_NAMES => return self.write_file(&link, &bytes),
            _ => {}
        }
        let mut header = new_header(Some(EntryType::Link), 0, 0, 0o644);
        header.set_size(0);
        self.out.append_link(&mut header, &link, &set)
    }

    /// Writes the place of a content object in the checkout: a hard link, but an empty file for itself,
    /// since what is appended to it in a container would else be appended to the object.
    pub(super) fn write_place(
        &mut self,
        id: &FileId,
        object: &str,
        mut header: Header,
        place: &str,
    ) -> Result<()> {
        let is_empty = header.entry_type() == EntryType::Regular && header.size().unwrap_or(0) == 0;
        if self.on_base.is_some() && self.has_own_place(id, &header, is_empty)? {
            return self.write_own(id, header, place);
        }
        if is_empty {
            header.set_size(0);
            return self.out.append(&mut header, place);
        }
        let names = self.files.entry(*id).or_default();
        if *names == MAX_NAMES {
            *names = 1;
            self.copies.insert(*id, place.to_owned());
            let file = self.store.open_file(id)?.ok_or(store::Error::NotFound((*id).into()))?;
            return self.write_content_at(id, place, &mut header, file);
        }
        *names += 1;
        header.set_size(0);
        header.set_entry_type(EntryType::Link);
        if let Some(copy) = self.copies.get(id) {
            return self.out.append_link(&mut header, place, copy);
        }
        // At most 100 bytes, and nothing in it to be normalized.
        header.set_link_name(object).map_err(Error::Write)?;
        self.out.append(&mut header, place)
    }
}
