//! Lines that are cut, written twice, forgotten and written anew.

use super::*;

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn of(turn: &str) -> String {
    format!("{{\"v\":1,\"turn\":\"{turn}\",\"prompt\":\"words of {turn}\",\"answer\":null}}")
}

#[test]
fn a_line_that_was_cut_is_taken_away_and_the_others_are_known() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("2026/11/21.jsonl");
    assert!(mended(&path).expect("no file").is_empty());
    append(&path, &[&of("a"), &of("b")]).expect("written");
    let mut file = OpenOptions::new().append(true).open(&path).expect("a file");
    file.write_all(b"{\"v\":1,\"turn\":\"c").expect("torn");
    drop(file);
    assert_eq!(mended(&path).expect("mended"), HashSet::from(["a".to_owned(), "b".to_owned()]));
    append(&path, &[&of("c")]).expect("written");
    assert_eq!(lines(&path), [of("a"), of("b"), of("c")]);
}

#[test]
fn what_is_forgotten_goes_from_the_file_and_the_rest_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("21.jsonl");
    forget(&path, &HashSet::from(["a".to_owned()])).expect("nothing to do");
    assert!(!path.exists());
    append(&path, &[&of("a"), "not a line of ours", &of("b")]).expect("written");
    forget(&path, &HashSet::from(["b".to_owned(), "z".to_owned()])).expect("forgotten");
    let found = lines(&path);
    assert_eq!(found[..2], [of("a"), "not a line of ours".to_owned()]);
    assert!(found[2].contains("\"turn\":\"b\"") && !found[2].contains("words of b"), "{}", found[2]);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1, "nothing beside it");
}

#[test]
fn a_rebuilt_archive_comes_into_its_place_whenever_it_was_cut_short() {
    for cut in 0..4 {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("archive");
        append(&folder.join("old.jsonl"), &["old"]).expect("written");
        let (fresh, former) = (beside(&folder, ".new"), beside(&folder, ".old"));
        append(&fresh.join("new.jsonl"), &["new"]).expect("written");
        File::create(fresh.join(WHOLE)).expect("marked");
        if cut >= 1 {
            std::fs::rename(&folder, &former).expect("aside");
        }
        if cut == 2 {
            append(&folder.join("between.jsonl"), &["between"]).expect("written");
        }
        if cut == 3 {
            std::fs::rename(&fresh, &folder).expect("in place");
        }
        finish_rebuild(&folder).expect("finished");
        assert_eq!(lines(&folder.join("new.jsonl")), ["new"], "{cut}");
        assert!(!folder.join("old.jsonl").exists() && !fresh.exists() && !former.exists(), "{cut}");
    }
    // One that was never whole changes nothing.
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("archive");
    append(&folder.join("old.jsonl"), &["old"]).expect("written");
    append(&beside(&folder, ".new").join("new.jsonl"), &["new"]).expect("written");
    finish_rebuild(&folder).expect("nothing to do");
    assert_eq!(lines(&folder.join("old.jsonl")), ["old"]);
}

#[test]
fn kinds_are_written_in_one_way() {
    assert_eq!([snake("ModelBusy"), snake("Other")], ["model_busy", "other"]);
}
