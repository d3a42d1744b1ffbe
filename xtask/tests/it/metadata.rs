//! What cargo knows about the workspace, by `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// The packages that are built on this machine.
pub(crate) struct Metadata(Value);

impl Metadata {
    pub(crate) fn read() -> Self {
        let host = run("rustc", &["-vV"]);
        let host = host
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .expect("rustc names its host");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let text = run(&cargo, &["metadata", "--format-version=1", "--filter-platform", host]);
        Self(serde_json::from_str(&text).expect("cargo prints JSON"))
    }

    /// The direct dependencies of a workspace's crate: normal ones, without those for tests.
    pub(crate) fn dependencies(&self, package: &str) -> BTreeSet<String> {
        let dependencies = self.package(package)["dependencies"].as_array().expect("a list");
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        normal.map(|dependency| text(&dependency["name"])).collect()
    }

    /// The crates of the workspace.
    pub(crate) fn workspace(&self) -> BTreeSet<String> {
        let members: BTreeSet<_> = list(&self.0["workspace_members"]).map(text).collect();
        list(&self.0["packages"])
            .filter(|package| members.contains(&text(&package["id"])))
            .map(|package| text(&package["name"]))
            .collect()
    }

    /// Everything that a crate is built of, itself included, without what only its tests need.
    pub(crate) fn built_of(&self, package: &str) -> BTreeSet<String> {
        let nodes: BTreeMap<_, _> = list(&self.0["resolve"]["nodes"])
            .map(|node| (text(&node["id"]), node))
            .collect();
        let mut seen = BTreeSet::new();
        let mut open = vec![text(&self.package(package)["id"])];
        while let Some(id) = open.pop() {
            let dependencies = list(&nodes[&id]["deps"]);
            let normal =
                dependencies.filter(|dependency| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()));
            open.extend(
                normal
                    .map(|dependency| text(&dependency["pkg"]))
                    .filter(|id| !seen.contains(id)),
            );
            seen.insert(id);
        }
        list(&self.0["packages"])
            .filter(|package| seen.contains(&text(&package["id"])))
            .map(|package| text(&package["name"]))
            .collect()
    }

    /// The versions of each package that is built here, for tests too.
    pub(crate) fn versions(&self) -> BTreeMap<String, BTreeSet<String>> {
        let built: BTreeSet<_> = list(&self.0["resolve"]["nodes"])
            .map(|node| text(&node["id"]))
            .collect();
        let mut versions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for package in list(&self.0["packages"]).filter(|package| built.contains(&text(&package["id"]))) {
            versions
                .entry(text(&package["name"]))
                .or_default()
                .insert(text(&package["version"]));
        }
        versions
    }

    fn package(&self, name: &str) -> &Value {
        let mut packages = list(&self.0["packages"]);
        packages
            .find(|package| package["name"] == name)
            .unwrap_or_else(|| panic!("there is no package {name}"))
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} could not be run: {error}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
