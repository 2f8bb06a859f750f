//! Machines of a local network: avahi tells of repositories, busybox serves them, and who looks for refs sits in another
//! network namespace.

use std::fs;

use ostree_rs::format::{RefFilter, RepoAdvert, Summary};
use tempfile::TempDir;

use super::OURS;
use crate::oracle::{need, need_root, run};

const ID: &str = "org.example.apps";
/// The address of the machine that serves.
const THERE: &str = "10.211.7.1";

/// Two machines: `srv/0`, `srv/1` … are served by one, `new` with the remote `apps` is the other one's.
struct Lan {
    dir: TempDir,
}

impl Lan {
    /// `None`, with a line that says so, where there can be none.
    fn new() -> Option<Self> {
        if !need_root() || !["ostree", "avahi-daemon", "busybox", "dbus-daemon", "ip"].into_iter().all(need) {
            return None;
        }
        let lan = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["tree", "srv", "services", "none"] {
            fs::create_dir(lan.path(name)).unwrap();
        }
        for name in ["own", "other"] {
            let (secret, public) = (format!("--secret={name}.asc"), format!("--public={name}.pub"));
            lan.ours(&["gpg-new-key", &secret, &public, &format!("{name} <{name}@example.org>")]);
        }
        lan.ours(&["init", "--repo=new", "--mode=bare-user"]);
        let (import, id) = ("--gpg-import=own.pub", format!("--collection-id={ID}"));
        // Nobody is there.
        lan.ours(&["remote", "add", "--repo=new", import, &id, "apps", "http://127.0.0.1:1/repo"]);
        Some(lan)
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    fn ours(&self, args: &[&str]) -> String {
        let out = super::start(OURS, self.dir.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// A repository of the machine that serves: the ref `app` of the collection, signed by a key, made on a day.
    fn serve(&self, number: u16, id: &str, key: &str, day: u32) -> String {
        let repo = format!("--repo=srv/{number}");
        fs::write(self.path("tree/file"), format!("{key} {day}")).unwrap();
        self.ours(&["init", &repo, "--mode=archive", "--collection-id", id]);
        let time = format!("--timestamp=2024-01-{day:02} 00:00:00 +0000");
        let (secret, key) = (format!("--gpg-homedir={key}.asc"), format!("--gpg-sign={key}@example.org"));
        self.ours(&["commit", &repo, "-b", "app", &time, "--tree=dir=tree", &secret, &key]);
        self.ours(&["summary", &repo, "-u"]);
        self.tell(number, &["app"]);
        self.ours(&["rev-parse", &repo, "app"]).trim_end().to_owned()
    }

    /// Has a summary say that its commits are of the year 2033.
    fn lie(&self, number: u16) {
        let path = self.path(&format!("srv/{number}/summary"));
        let mut summary = Summary::parse(&fs::read(&path).unwrap()).unwrap();
        for found in &mut summary.refs {
            found.metadata.insert("ostree.commit.timestamp", 2_000_000_000_u64.to_be());
        }
        fs::write(&path, summary.to_bytes()).unwrap();
    }

    /// Has the machine tell of a repository with these refs.
    fn tell(&self, number: u16, refs: &[&str]) {
        let mut filter = RefFilter::new(64, 5);
        refs.iter().for_each(|name| filter.insert(&ID.parse().unwrap(), &name.parse().unwrap()));
        let advert = RepoAdvert { refs: filter, summary_secs: 1_704_067_200, index: number };
        let entry = |(name, value): (&str, Vec<u8>)| {
            let value: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("<txt-record value-format=\"binary-hex\">{name}={value}</txt-record>\n")
        };
        let entries: String = advert.to_txt().into_iter().map(entry).collect();
        let service = RepoAdvert::SERVICE;
        let text = format!(
            "<?xml version=\"1.0\"?><!DOCTYPE service-group SYSTEM \"avahi-service.dtd\">\n\
             <service-group><name>repository {number}</name>\n\
             <service><type>{service}</type><port>8080</port>\n{entries}</service></service-group>\n"
        );
        fs::write(self.path(&format!("services/{number}.service")), text).unwrap();
    }

    /// What a shell says on the machine that looks, which has an avahi, too, for C ostree to ask. All of it ends with it.
    fn look(&self, script: &str) -> String {
        for (name, dbus) in [("there", "no"), ("here", "yes")] {
            let config = format!(
                "[server]\nhost-name={name}\nuse-ipv6=no\nenable-dbus={dbus}\nratelimit-burst=1000\n\
                 [publish]\npublish-hinfo=no\npublish-workstation=no\n[wide-area]\nenable-wide-area=no\n"
            );
            fs::write(self.path(&format!("{name}.conf")), config).unwrap();
        }
        let bus = self.path("bus").display().to_string();
        let allowed = ["user", "own", "send_destination"].map(|who| format!("{who}=\"*\""));
        let what = ["send_type=\"method_call\"", "send_type=\"signal\"", "send_requested_reply=\"true\""];
        let what = what.into_iter().chain(["receive_requested_reply=\"true\""]).map(str::to_owned);
        let allowed = allowed.into_iter().chain(what);
        let allowed: String = allowed.map(|what| format!("<allow {what}/>")).collect();
        let config = format!(
            "<busconfig><type>system</type><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\">{allowed}</policy></busconfig>"
        );
        fs::write(self.path("bus.conf"), config).unwrap();
        fs::write(self.path("lan.sh"), SCRIPT).unwrap();
        let script = format!("cd {} && . ./lan.sh && {script}", self.dir.path().display());
        let apart = ["unshare", "-nmpf", "--mount-proc", "--kill-child", "sh", "-ec", &script];
        // It takes five seconds.
        String::from_utf8(run("timeout", &[&["-k1", "100"][..], &apart].concat())).unwrap()
    }
}

/// Two network namespaces with a cable between them: in the other one a web server and an avahi that tells of it, here an
/// avahi that can be asked over a bus. What they say goes into the file `log`.
const SCRIPT: &str = r#"
avahi() {
  mkdir -p /run/avahi-daemon
  mount -t tmpfs none /run/avahi-daemon
  mount --bind "$2" /etc/avahi/services
  exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f "$1.conf"
}
there() {
  touch apart
  until test -e go; do sleep 0.05; done
  ip link set lo up
  ip link set there up
  ip addr add 10.211.7.1/24 brd + dev there
  busybox httpd -f -p 10.211.7.1:8080 -h srv &
  avahi there services
}
here() { avahi here none; }
if test -n "$1"; then "$1"; exit; fi
rm -f apart bus go log
ip link set lo up
ip link add here type veth peer name there
unshare -nm sh -ec '. ./lan.sh' there there >>log 2>&1 &
until test -e apart; do sleep 0.05; done
ip link set there netns $!
touch go
ip link set here up
ip addr add 10.211.7.2/24 brd + dev here
until busybox wget -q -O- http://10.211.7.1:8080/0/config >>log 2>&1; do sleep 0.1; done
dbus-daemon --config-file=bus.conf --nofork >>log 2>&1 &
until test -e bus; do sleep 0.05; done
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$PWD/bus"
unshare -m sh -ec '. ./lan.sh' here here >>log 2>&1 &
until dbus-send --system --print-reply --dest=org.freedesktop.Avahi / org.freedesktop.Avahi.Server.GetState >>log 2>&1
do sleep 0.1; done
until grep -q 'successfully established' log; do sleep 0.1; done
"#;

/// C ostree, which asks an avahi of its own machine, finds the same.
#[test]
fn it_is_found_as_the_c_program_finds_it() {
    let Some(lan) = Lan::new() else { return };
    let commit = lan.serve(0, ID, "own", 2);
    // Somebody who keeps refs of several collections, and one that tells of others.
    lan.serve(1, "org.example.other", "own", 3);
    lan.tell(2, &["other/app", "another"]);
    let find = format!("find-remotes --repo=new --finders=lan {ID} app {ID} nothing");
    let both = lan.look(&format!("ostree {find}; echo ==; {OURS} {find}"));
    let (theirs, ours) = both.split_once("==\n").unwrap();
    // C ostree says refs in no order.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(ours), sorted(theirs));
    let place = format!("Result 0: http://{THERE}:8080/0\n - Finder: OstreeRepoFinderAvahi\n");
    assert!(ours.starts_with(&place) && ours.contains(&format!("app) = {commit}\n")), "{ours}");
    assert!(ours.contains("1/2 refs were found.") && !ours.contains("Result 1"), "{ours}");
}

/// Whoever is near is believed in nothing: not in what he claims to have signed, nor that it is later.
#[test]
fn it_counts_only_if_the_keys_of_the_remote_vouch_for_it() {
    let Some(lan) = Lan::new() else { return };
    let forged = lan.serve(0, ID, "other", 9);
    let old = lan.serve(1, ID, "own", 1);
    let good = lan.serve(2, ID, "own", 2);
    // The summary lies: the old commit were of the day before yesterday's tomorrow.
    lan.lie(1);
    // Not even if the remote itself is believed without signatures.
    for verify in ["true", "false"] {
        let config = lan.path("new/config");
        let text = fs::read_to_string(&config).unwrap().replace("gpg-verify=true\n", "");
        fs::write(&config, format!("{text}gpg-verify={verify}\n")).unwrap();
        let find = format!("find-remotes --repo=new --finders=lan --pull {ID} app");
        let said = lan.look(&format!("{OURS} {find} 2>warned"));
        let warned = fs::read_to_string(lan.path("warned")).unwrap();
        assert!(said.starts_with(&format!("Result 0: http://{THERE}:8080/2\n")), "{said}{warned}");
        assert!(!said.contains(&old) && !said.contains(&forged), "{said}");
        assert!(warned.contains("8080/0") && !warned.contains("8080/1"), "{warned}");
        assert!(said.ends_with("Pulled 1/1 refs successfully.\n"), "{said}");
        assert_eq!(lan.ours(&["rev-parse", "--repo=new", "apps:app"]).trim_end(), good);
        run("ostree", &["fsck", "-q", &format!("--repo={}", lan.path("new").display())]);
    }
}
