//! Styles and scripts.

use std::fs;
use std::path::Path;

use crate::app::TestConsole;

#[test]
fn vendored_files_are_as_they_were_published() {
    use sha2::{Digest as _, Sha256};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/vendored");
    let listed = fs::read_to_string(folder.join("VENDORED.md")).expect("a list");
    let mut scripts_and_styles = 0;
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let is_code = path
            .extension()
            .is_some_and(|extension| extension == "js" || extension == "css");
        if !is_code {
            continue;
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let hash = Sha256::digest(fs::read(&path).expect("a file"));
        let hash = hash
            .iter()
            .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
        let line = listed.lines().find(|line| line.contains(&format!("| {name} |")));
        assert!(line.is_some_and(|line| line.contains(&hash)), "{name} is {hash}");
        scripts_and_styles += 1;
    }
    assert_eq!(scripts_and_styles, 3);
}

#[tokio::test]
async fn a_page_names_its_files_by_what_is_in_them_and_they_are_kept() {
    let console = TestConsole::new().await;
    let browser = console.browser();
    let page = browser.get("/admin/sign-in").await;
    let (_, rest) = page
        .body
        .split_once(r#"rel="stylesheet" href=""#)
        .expect("a stylesheet");
    let style = rest.split('"').next().expect("its end");
    let asset = browser.get(style).await;
    asset.expect(200);
    assert_eq!(asset.header("content-type"), "text/css; charset=utf-8");
    assert!(asset.header("cache-control").contains("immutable"));
    browser.get("/admin/assets/other/console.css").await.expect(404);
}
