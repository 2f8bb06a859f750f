//! What boot loaders are told: beside C ostree on the same sysroots.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::host::{Environment, Machine};
use ostree_rs::sysroot::bootloader::BootLoader;

use super::Place;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

/// A sysroot with whatever `prepare` puts into it, in which C ostree has deployed twice.
fn deployed(prepare: impl FnOnce(&Place)) -> Option<Place> {
    if !need("ostree") || !need_root() {
        return None;
    }
    let place = Place::new();
    let boot = place.at("tree/usr/lib/ostree-boot");
    fs::create_dir_all(&boot).unwrap();
    fs::write(boot.join("uEnv.txt"), "loaduimage=run loadzimage\n").unwrap();
    place.commit("1");
    place.sysroot("root");
    prepare(&place);
    for version in ["2", "3"] {
        place.c(&[
            "admin",
            "deploy",
            "--sysroot=root",
            "--os=os",
            "--karg=root=LABEL=a",
            "--karg=quiet",
            "os",
        ]);
        place.commit(version);
        place.pull("root");
    }
    Some(place)
}

/// What is found there, and the file `name` of the boot entries in use as it writes it anew.
fn written(place: &Place, env: Environment, name: &str) -> (BootLoader, String) {
    let sysroot = Machine::new(env).open_sysroot(place.at("root")).unwrap();
    let version = sysroot.load().unwrap().boot_version;
    let loader = BootLoader::of(&sysroot).unwrap().unwrap();
    loader.write_config(&sysroot, version, &Ctx::default()).unwrap();
    (loader, fs::read_to_string(place.at(&format!("root/boot/loader/{name}"))).unwrap())
}

#[test]
fn u_boot_gets_the_variables_of_c_ostree() {
    let config = "root/boot/loader/uEnv.txt";
    let prepare = |place: &Place| {
        fs::create_dir_all(place.at("root/boot/loader.0")).unwrap();
        symlink("loader.0", place.at("root/boot/loader")).unwrap();
        place.write(config, "old=1\n");
    };
    let Some(place) = deployed(prepare) else { return };
    let theirs = fs::read_to_string(place.at(config)).unwrap();
    assert!(theirs.contains("loaduimage") && theirs.contains("bootargs2="), "{theirs}");
    assert_eq!(written(&place, Environment::default(), "uEnv.txt"), (BootLoader::UBoot, theirs));
}

#[test]
fn syslinux_gets_the_labels_of_c_ostree() {
    let config = "root/boot/loader/syslinux.cfg";
    let prepare = |place: &Place| {
        fs::create_dir_all(place.at("root/boot/loader.0")).unwrap();
        fs::create_dir_all(place.at("root/boot/syslinux")).unwrap();
        symlink("loader.0", place.at("root/boot/loader")).unwrap();
        symlink("../loader/syslinux.cfg", place.at("root/boot/syslinux/syslinux.cfg")).unwrap();
        place.write(config, "\nPROMPT 0\n\nTIMEOUT 5\n\nLABEL memtest\n\tKERNEL /memtest\n\n");
    };
    let Some(place) = deployed(prepare) else { return };
    let theirs = fs::read_to_string(place.at(config)).unwrap();
    assert!(theirs.contains("DEFAULT Example OS") && theirs.contains("LABEL memtest"), "{theirs}");
    assert_eq!(
        written(&place, Environment::default(), "syslinux.cfg"),
        (BootLoader::Syslinux, theirs.clone())
    );

    // C ostree leaves the file as it is then, and the next boot without the argument.
    place.ours(&["admin", "kargs", "edit-in-place", "--sysroot=root", "--append-if-missing=new=1"]);
    let lines = theirs.lines().map(|line| match line.starts_with("\tAPPEND ") {
        true => format!("{line} new=1\n"),
        false => format!("{line}\n"),
    });
    assert_eq!(
        fs::read_to_string(place.at(config)).unwrap().trim_end(),
        lines.collect::<String>().trim_end()
    );
}

/// Lets the place's sysroot be one that GRUB boots.
fn prepare_grub(place: &Place) {
    fs::create_dir_all(place.at("root/boot/grub2")).unwrap();
    symlink("../loader/grub.cfg", place.at("root/boot/grub2/grub.cfg")).unwrap();
    place.c(&["--repo=root/ostree/repo", "config", "set", "sysroot.bootloader", "none"]);
}

#[test]
fn menu_entries_for_grub_are_those_of_c_ostree() {
    let Some(place) = deployed(prepare_grub) else { return };
    let generated = |program: &str| {
        let mut command = Command::new(program);
        command.args(["admin", "instutil", "grub2-generate", "--sysroot=root"]).current_dir(place.at(""));
        command.env("GRUB2_BOOT_DEVICE_ID", "ab-cd").env("GRUB2_PREPARE_ROOT_CACHE", "set root='hd0,1'");
        let out = command.output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let theirs = generated("ostree");
    assert_eq!(theirs.matches("menuentry ").count(), 2);
    assert_eq!(generated(OURS), theirs);

    // As grub2-mkconfig puts them into the whole: what was in the section before does not count.
    let mkconfig = format!(
        "set default=0\n### BEGIN /etc/grub.d/15_ostree ###\n{}### END /etc/grub.d/15_ostree ###\n# custom\n",
        theirs.replace("Example OS", "Old OS")
    );
    place.c(&["--repo=root/ostree/repo", "config", "set", "sysroot.bootloader", "auto"]);
    place.write("root/boot/loader/grub.cfg", &mkconfig);
    let (loader, ours) = written(&place, Environment::default(), "grub.cfg");
    assert_eq!(loader, BootLoader::Grub2 { efi: None });
    assert_eq!(ours, mkconfig.replace("Old OS", "Example OS"));
}

#[test]
fn a_program_for_grub_is_executed_if_the_user_named_it() {
    let Some(place) = deployed(prepare_grub) else { return };
    place.c(&["--repo=root/ostree/repo", "config", "set", "sysroot.bootloader", "grub2"]);
    let script = place.at("generator");
    crate::oracle::script("echo \"by script, $_OSTREE_GRUB2_BOOTVERSION\" > $2", &script);
    let env = Environment::from_iter([("OSTREE_GRUB2_EXEC", script.as_os_str().to_owned())]);
    let version = Machine::new(Environment::default()).open_sysroot(place.at("root")).unwrap();
    let version = version.load().unwrap().boot_version;
    assert_eq!(written(&place, env, "grub.cfg").1, format!("by script, {version}\n"));

    let none = Environment::from_iter([("OSTREE_GRUB2_EXEC", place.at("no-such").into_os_string())]);
    let sysroot = Machine::new(none).open_sysroot(place.at("root")).unwrap();
    let loader = BootLoader::of(&sysroot).unwrap().unwrap();
    let error = loader.write_config(&sysroot, version, &Ctx::default()).unwrap_err();
    let error = WithCauses(&error).to_string();
    assert!(error.contains("no-such"), "{error}");
}

#[test]
fn the_only_configuration_of_an_efi_system_is_replaced_and_the_old_one_kept() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    fs::create_dir_all(place.at("root/boot/efi/EFI/os")).unwrap();
    place.write("root/boot/efi/EFI/os/grub.cfg", "set old=1\n");
    let said = place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    assert!(said.contains("Bootloader updated"), "{said}");
    let efi = |name: &str| fs::read_to_string(place.at("root/boot/efi/EFI/os").join(name)).unwrap();
    assert_eq!(efi("grub.cfg.old"), "set old=1\n");
    let new = efi("grub.cfg");
    let kernel = new.lines().find_map(|line| line.strip_prefix("linux /")).unwrap();
    let (kernel, options) = kernel.split_once(' ').unwrap();
    assert!(place.at("root").join(kernel).exists() && options.contains("ostree=/ostree/boot.1/"), "{new}");
    super::deploy::assert_bootable(&place.at("root"));
}

/// A repository with a value that C ostree does not know is one that it does not open.
#[test]
fn what_no_boot_loader_is_called_is_not_configured() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    let set = ["--repo=root/ostree/repo", "config", "set", "sysroot.bootloader", "lilo"];
    let said = place.fails(&set);
    assert!(said.contains("Invalid bootloader configuration: 'lilo'"), "{said}");
    place.ours(&["--repo=root/ostree/repo", "config", "set", "sysroot.bootloader", "none"]);
    assert_eq!(place.c(&["--repo=root/ostree/repo", "config", "get", "sysroot.bootloader"]), "none\n");
}
