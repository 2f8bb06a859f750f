//! Finds the package that owns each file of a tree.
//!
//! ```text
//! 1  the package whose list has the path                   dpkg, rpm, apk, pacman
//! 2  of __pycache__/x.cpython-311.pyc the owner of x.py
//! 3  nobody: it changes with every package                 see `volatile`
//! 4  the one package that owns the directory, and something in it
//! 5  nobody: it goes by its path                           see `paths`
//! ```
//! Files that are equal are one object. If they are of several packages, each package's layer has a copy of it,
//! so that the layer depends on nothing but the package's own files. Only of a large object there is one: an
//! upgrade of another package that has it changes the layer, too.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::container::build::chunks::tree::{File, Found, ROOT, Tree};
use crate::container::build::chunks::{Component, paths, volatile};

/// The size up to which an object is copied into the layer of each owner, in bytes; of a larger one there is one
/// copy.
const MAX_COPIED_BYTES: u64 = 512 * 1024;
const PYCACHE: &str = "__pycache__";

/// The packages, and the owner of each file and directory of a tree.
pub(super) struct Owners<'t> {
    tree: &'t Tree,
    packages: Vec<Package>,
    numbers: HashMap<String, usize>,
    files: Vec<Owner>,
    dirs: Vec<DirOwner>,
}

struct Package {
    name: String,
    source: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Package(usize),
    /// The first layer.
    Volatile,
    Nobody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DirOwner {
    Nobody,
    /// One package; whether it has files there, too.
    One(usize, HasFiles),
    Several,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HasFiles {
    Yes,
    No,
}

impl<'t> Owners<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        Self {
            tree,
            packages: Vec::new(),
            numbers: HashMap::new(),
            files: vec![Owner::Nobody; tree.files.len()],
            dirs: vec![DirOwner::Nobody; tree.dirs.len()],
        }
    }

    /// The number of a package, which is built from `source`.
    pub(super) fn package(&mut self, name: &str, source: &str) -> usize {
        // A comma separates names in the image.
        let name = name.replace(',', "_");
        *self.numbers.entry(name).or_insert_with_key(|name| {
            self.packages.push(Package { name: name.clone(), source: source.to_owned() });
            self.packages.len() - 1
        })
    }

    /// Whether there is any package.
    pub(super) fn knows_packages(&self) -> bool {
        !self.packages.is_empty()
    }

    /// A file of a package; the first package that claims it gets it.
    pub(super) fn claim_file(&mut self, package: usize, path: &str) {
        match self.tree.locate_moved(path) {
            Some(Found::File(file)) => self.give_file(package, file),
            Some(Found::Dir(dir)) => self.give_dir(package, dir),
            None => {}
        }
    }

    /// A directory of a package, which may be a link to one in the tree.
    pub(super) fn claim_dir(&mut self, package: usize, path: &str) {
        if let Some(Found::Dir(dir)) = self.tree.locate_moved(&format!("{path}/.")) {
            self.give_dir(package, dir);
        }
    }

    /// A file of the tree, by its number.
    pub(super) fn give_file(&mut self, package: usize, file: usize) {
        if self.files[file] == Owner::Nobody {
            self.files[file] = Owner::Package(package);
        }
    }

    fn give_dir(&mut self, package: usize, dir: usize) {
        self.dirs[dir] = match self.dirs[dir] {
            DirOwner::Nobody => DirOwner::One(package, HasFiles::No),
            DirOwner::One(other, _) if other != package => DirOwner::Several,
            same => same,
        };
    }

    /// The components of the tree; files that are in none belong to the first layer.
    pub(super) fn components(mut self) -> Vec<Component> {
        self.note_files();
        self.give_compiled();
        for file in 0..self.files.len() {
            if self.files[file] == Owner::Nobody {
                let File { dir, bytes, .. } = self.tree.files[file];
                self.files[file] = match volatile::is_volatile(&self.tree.file_path(file)) {
                    // A large one is sent less often by itself, even if it makes one more layer to be sent.
                    true if bytes >= paths::MIN_BYTES => Owner::Nobody,
                    true => Owner::Volatile,
                    false => self.of_dir(dir),
                };
            }
        }
        self.by_owner()
    }

    /// The files that no package brought, by their numbers; `None` if no database names a package.
    pub(super) fn nobodys(mut self) -> Option<Vec<usize>> {
        self.give_compiled();
        let nobodys = (0..self.files.len()).filter(|file| self.files[*file] == Owner::Nobody);
        (!self.packages.is_empty()).then(|| nobodys.collect())
    }

    /// Gives Python's byte code to the owner of its source.
    fn give_compiled(&mut self) {
        for file in 0..self.files.len() {
            if self.files[file] == Owner::Nobody {
                self.files[file] = self.compiled(file).unwrap_or(Owner::Nobody);
            }
        }
    }

    /// Notes which directories hold files of the package that owns them.
    fn note_files(&mut self) {
        for (file, owner) in self.files.iter().enumerate() {
            let mut dir = self.tree.files[file].dir;
            while let (Owner::Package(package), DirOwner::One(one, HasFiles::No)) = (*owner, self.dirs[dir]) {
                if package != one || dir == ROOT {
                    break;
                }
                self.dirs[dir] = DirOwner::One(one, HasFiles::Yes);
                dir = self.tree.dirs[dir].parent;
            }
        }
    }

    /// The owner of the source of Python's byte code.
    fn compiled(&self, file: usize) -> Option<Owner> {
        let file = &self.tree.files[file];
        let dir = &self.tree.dirs[file.dir];
        if !file.name.ends_with(".pyc") || &*dir.name != PYCACHE {
            return None;
        }
        let (module, _) = file.name.split_once('.')?;
        let source = self.tree.file_in(dir.parent, &format!("{module}.py"))?;
        Some(self.files[source])
    }

    /// The package that alone owns the directory, or else the next one above it.
    fn of_dir(&self, mut dir: usize) -> Owner {
        loop {
            match self.dirs[dir] {
                DirOwner::Nobody if dir != ROOT => dir = self.tree.dirs[dir].parent,
                // Also what users add goes to places like /opt, which a package owns, but has nothing in it.
                DirOwner::One(package, HasFiles::Yes) if dir != ROOT => return Owner::Package(package),
                _ => return Owner::Nobody,
            }
        }
    }

    fn by_owner(&self) -> Vec<Component> {
        let copies = self.large_copies();
        let followers: HashSet<usize> = copies.values().flatten().copied().collect();
        let (mut packages, mut nobodys) = (BTreeMap::<usize, Vec<usize>>::new(), Vec::new());
        for file in (0..self.files.len()).filter(|file| !followers.contains(file)) {
            match self.files[file] {
                Owner::Package(package) => packages.entry(package).or_default().push(file),
                Owner::Volatile => {}
                Owner::Nobody => nobodys.push(file),
            }
        }
        let component = |(package, files): (usize, Vec<usize>)| {
            let Package { name, source } = &self.packages[package];
            Component::new(self.tree, name.clone(), source.clone(), files)
        };
        let mut out: Vec<_> = packages.into_iter().map(component).collect();
        out.extend(paths::components(self.tree, &nobodys));
        for component in &mut out {
            let more: Vec<_> = component.files.iter().filter_map(|file| copies.get(file)).flatten().collect();
            component.files.extend(more);
        }
        out
    }

    /// Large files that go where another one goes, which is the same object, by that one: the first package's.
    fn large_copies(&self) -> HashMap<usize, Vec<usize>> {
        let files = &self.tree.files;
        let mut order: Vec<usize> = (0..files.len()).filter(|n| files[*n].bytes > MAX_COPIED_BYTES).collect();
        order.sort_unstable_by_key(|file| (files[*file].id, self.rank(*file), *file));
        let same = order.chunk_by(|a, b| files[*a].id == files[*b].id);
        same.filter(|same| same.len() > 1).map(|same| (same[0], same[1..].to_vec())).collect()
    }

    /// The sort key that decides which owner gets an object that several have.
    fn rank(&self, file: usize) -> (u8, &str) {
        match self.files[file] {
            Owner::Package(package) => (0, &self.packages[package].name),
            Owner::Volatile => (1, ""),
            Owner::Nobody => (2, ""),
        }
    }
}
