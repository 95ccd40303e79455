//! Makes sure that the folder of the built page exists, so that the gateway compiles before `www` was ever built
//! (it then serves a page that says how to build), and builds the gateway anew when the page has changed.

fn main() -> std::io::Result<()> {
    std::fs::create_dir_all("../www/dist")?;
    println!("cargo::rerun-if-changed=../www/dist");
    Ok(())
}
