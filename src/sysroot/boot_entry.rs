//! One file of `loader/entries`: a boot entry of the boot loader specification.
