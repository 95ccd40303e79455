mod plan;

use proptest::prelude::*;

use super::{
    filter::{Filter, time},
    list::{Limits, List, Record, Request},
    object::{Failure, MAX_ORIGINS, Pin, Status},
    settings::{Remote, Settings},
};

const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

fn read(text: &str) -> Result<Pin, Failure> {
    Pin::read(text.as_bytes())
}

#[test]
fn a_pin_is_read_within_the_bounds_of_the_specification() {
    let whole = format!(
        r#"{{"cid":"{CID}","name":"é","origins":["/ip4/192.0.2.1/tcp/4101/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"],"meta":{{"app":"x"}},"more":1}}"#
    );
    let pin = read(&whole).unwrap();
    assert_eq!(
        (&*pin.name, pin.sources().len(), &*pin.meta["app"]),
        ("é", 1, "x")
    );
    assert_eq!(pin.root().unwrap().to_string(), CID);
    let bare = read(&format!(
        r#"{{"cid":"{CID}","name":null,"origins":null,"meta":null}}"#
    ));
    assert_eq!(bare, read(&format!(r#"{{"cid":"{CID}"}}"#)));
    // Version 0 names the same node as version 1.
    let old = read(r#"{"cid":"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"}"#).unwrap();
    assert!(old.root().unwrap().to_string().starts_with("bafybei"));
    let origins = |count: usize| {
        let origins = vec!["\"/ip4/192.0.2.1/tcp/1\""; count].join(",");
        read(&format!(r#"{{"cid":"{CID}","origins":[{origins}]}}"#))
    };
    assert!(origins(MAX_ORIGINS).is_ok() && origins(MAX_ORIGINS + 1).is_err());
    let name = |count: usize| {
        read(&format!(
            r#"{{"cid":"{CID}","name":"{}"}}"#,
            "é".repeat(count)
        ))
    };
    assert!(name(255).is_ok() && name(256).is_err());
    let long = format!(
        r#"{{"cid":"{CID}","origins":["/dns/{}"]}}"#,
        "a".repeat(600)
    );
    for (body, says) in [
        ("", "no pin object"),
        ("[]", "no pin object"),
        ("{}", "cid"),
        (r#"{"cid":7}"#, "no pin object"),
        (r#"{"cid":""}"#, "no CID"),
        (r#"{"cid":"../../etc/passwd"}"#, "no CID"),
        (
            r#"{"cid":"bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}"#,
            "raw or dag-pb",
        ),
        (r#"{"cid":"bafkqaaa"}"#, "raw or dag-pb"), // identity
        (&*long, "multiaddr"),
        (
            &format!(r#"{{"cid":"{CID}","origins":["http://x/"]}}"#),
            "multiaddr",
        ),
        (
            &format!(r#"{{"cid":"{CID}","meta":{{"a":{{}}}}}}"#),
            "no pin object",
        ),
    ] {
        let failure = read(body).unwrap_err();
        assert!(
            failure.code == 400 && failure.details.contains(says),
            "{body}: {failure:?}"
        );
    }
}

fn ask(list: &mut List, whose: &str, pin: &str, id: &str, now: u64) -> Result<(), Failure> {
    let limits = Limits {
        requests: 4,
        queue: 3,
    };
    let request = list.ask(whose, read(pin).unwrap(), id.into(), now, limits, None)?;
    list.apply(Record::Asked(request));
    Ok(())
}

fn became(list: &mut List, id: &str, status: Status) {
    let (id, why) = (id.to_owned(), "nobody has it".to_owned());
    list.apply(Record::Became {
        id,
        status,
        why,
        bytes: 9,
    });
}

fn four() -> List {
    let mut list = List::default();
    for (id, name) in [
        ("a", "Apples"),
        ("b", "apples"),
        ("c", "Pears"),
        ("d", "+ & %"),
    ] {
        let pin = format!(r#"{{"cid":"{CID}","name":"{name}","meta":{{"n":"{id}"}}}}"#);
        ask(&mut list, "me", &pin, id, 1000).unwrap();
        became(&mut list, id, Status::Pinned);
    }
    list
}

fn found(list: &List, query: &str) -> (u64, String) {
    let (count, found) = list.find("me", &Filter::read(query).unwrap());
    (count, found.iter().map(|one| &*one.id).collect())
}

#[test]
fn listings_are_filtered_and_paged_as_specified() {
    let mut list = four();
    assert_eq!(
        found(&list, ""),
        (4, "dcba".into()),
        "newest first, times apart"
    );
    assert_eq!(found(&list, "limit=2"), (4, "dc".into()));
    let second = |id: &str| {
        let told = list.told(list.get(id).unwrap(), &[], 0);
        told.created
    };
    assert_eq!(second("c"), "1970-01-01T00:00:01.002Z");
    let page = format!("limit=2&before={}", second("c").replace(':', "%3A"));
    assert_eq!(found(&list, &page), (2, "ba".into()));
    assert_eq!(
        found(&list, &format!("after={}", second("c"))),
        (1, "d".into())
    );
    for (query, ids) in [
        ("name=apples", "b"),
        ("name=apples&match=exact", "b"),
        ("match=iexact&name=APPLES", "ba"),
        ("name=ear&match=partial", "c"),
        ("name=EAR&match=partial", ""),
        ("name=EAR&match=ipartial", "c"),
        ("name=%2B+%26+%25", "d"),
        (&*format!("cid={CID}"), "dcba"),
        (&format!("cid=bafkqaaa,{CID}"), "dcba"),
        ("cid=bafkqaaa", ""),
        ("meta=%7B%22n%22%3A%22c%22%7D", "c"),
        ("meta=%7B%22n%22%3A%22c%22%2C%22m%22%3A%22%22%7D", ""),
        ("status=queued", ""),
        ("unknown=1", "dcba"),
    ] {
        assert_eq!(found(&list, query).1, ids, "{query}");
    }
    became(&mut list, "c", Status::Failed);
    assert_eq!(
        found(&list, "").1,
        "dba",
        "only what is pinned, unless more is asked for"
    );
    assert_eq!(found(&list, "status=failed").1, "c");
    assert_eq!(
        found(&list, "status=failed,pinned").1,
        found(&list, "status=failed&status=pinned").1
    );
    let told = list.told(list.get("c").unwrap(), &[], 0);
    assert_eq!(told.info["status_details"], "nobody has it");
    assert_eq!(
        list.find("another", &Filter::default()).0,
        0,
        "each sees its own"
    );
    assert_eq!(list.of("another", "a").unwrap_err().code, 404);
    for wrong in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "status=lost",
        "match=fuzzy",
        "before=yesterday",
        "after=",
        "cid=x",
        "meta=[]",
        "meta=%FF",
        "name=%00%FF",
    ] {
        assert!(Filter::read(wrong).is_err(), "{wrong}");
    }
    let eleven = [CID; 11].join(",");
    assert!(Filter::read(&format!("cid={eleven}")).is_err());
    assert!(Filter::read(&format!("name={}", "x".repeat(256))).is_err());
}

#[test]
fn times_are_those_of_rfc_3339() {
    for (text, millis) in [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01.5Z", 1500),
        ("1970-01-01T00:00:01.123456Z", 1123),
        ("1970-01-01t02:00:00+02:00", 0),
        ("1970-01-01T00:00:00-01:30", 5_400_000),
    ] {
        assert_eq!(time(text), Some(millis), "{text}");
    }
    for text in [
        "",
        "1970-01-01",
        "1970-01-01T01:00:00+02:00",
        "1970-01-01T00:00:00+2:x0",
        "é12345",
        "1969-12-31T23:59:59Z",
    ] {
        assert_eq!(time(text), None, "{text}");
    }
}

#[test]
fn limits_hold_and_a_journal_gives_the_same_list() {
    let mut list = four();
    let pin = format!(r#"{{"cid":"{CID}"}}"#);
    assert_eq!(
        ask(&mut list, "me", &pin, "e", 0).unwrap_err().code,
        409,
        "requests"
    );
    list.apply(Record::Removed("a".into()));
    list.apply(Record::Removed("a".into()));
    ask(&mut list, "me", &pin, "e", 0).unwrap();
    assert!(
        list.get("e").unwrap().created > list.get("d").unwrap().created,
        "whatever the clock says"
    );
    let again = Limits {
        requests: 4,
        queue: 3,
    };
    let replaced = list.ask("me", read(&pin).unwrap(), "f".into(), 0, again, Some("e"));
    assert!(replaced.is_ok(), "what goes makes room");
    let mut list = List::default();
    for id in ["a", "b", "c"] {
        ask(&mut list, "me", &pin, id, 5).unwrap();
    }
    assert_eq!(
        ask(&mut list, "me", &pin, "d", 5).unwrap_err().code,
        409,
        "the queue"
    );
    assert_eq!(list.next().map(|one| &*one.id), Some("a"));
    let told = list.told(list.get("c").unwrap(), &[], 0);
    assert_eq!(told.info["status_details"], "2 wait before it");
    let records: Vec<_> = list.all().cloned().map(Record::Asked).collect();
    let mut read = List::default();
    for record in [records, vec![Record::All(list.all().cloned().collect())]].concat() {
        let json = serde_json::to_vec(&record).unwrap();
        read.apply(serde_json::from_slice(&json).unwrap());
        assert!(read.all().count() <= 3);
    }
    assert_eq!(
        read.all().collect::<Vec<_>>(),
        list.all().collect::<Vec<&Request>>()
    );
    // Eight megabytes, however few requests they are.
    let (mut list, meta) = (List::default(), "x".repeat(60_000));
    let large = format!(r#"{{"cid":"{CID}","meta":{{"x":"{meta}"}}}}"#);
    let limits = Limits {
        requests: 10_000,
        queue: 10_000,
    };
    let taken = (0..).take_while(|n: &u32| {
        let request = list.ask(
            "me",
            Pin::read(large.as_bytes()).unwrap(),
            n.to_string(),
            0,
            limits,
            None,
        );
        request
            .map(|request| list.apply(Record::Asked(request)))
            .is_ok()
    });
    let taken = taken.count();
    assert!((20..30).contains(&taken), "{taken}");
    let all = serde_json::to_vec(&Record::All(list.all().cloned().collect())).unwrap();
    assert!(all.len() < 16 << 20, "a checkpoint fits a record");
}

#[test]
fn nonsense_in_settings_is_named_and_tokens_are_not_repeated() {
    let fine = Settings {
        tokens: vec!["0123456789abcdef".into()],
        services: vec![Remote {
            url: "http://127.0.0.1:1/x/".into(),
            token: "t".into(),
        }],
        ..Settings::default()
    };
    assert_eq!(
        (Settings::default().check(), fine.check()),
        (Ok(()), Ok(()))
    );
    assert_eq!(fine.services[0].host(), "127.0.0.1:1");
    let with = |url: &str, token: &str| Settings {
        services: vec![Remote {
            url: url.into(),
            token: token.into(),
        }],
        ..fine.clone()
    };
    let twice = vec![
        fine.services[0].clone(),
        Remote {
            url: "http://127.0.0.1:1/x".into(),
            token: "u".into(),
        },
    ];
    for (settings, name) in [
        (
            Settings {
                tokens: vec!["secret".into()],
                ..fine.clone()
            },
            "pinning.tokens",
        ),
        (
            Settings {
                tokens: vec!["0123456789abcde é".into()],
                ..fine.clone()
            },
            "pinning.tokens",
        ),
        (
            Settings {
                requests: 0,
                ..fine.clone()
            },
            "pinning.requests",
        ),
        (
            Settings {
                queue: 10_001,
                ..fine.clone()
            },
            "pinning.queue",
        ),
        (
            Settings {
                give_up: std::time::Duration::ZERO,
                ..fine.clone()
            },
            "pinning.give_up",
        ),
        (with("ftp://x/", "t"), "pinning.services.url"),
        (with("x", "t"), "pinning.services.url"),
        (with("http://x/", ""), "pinning.services.token"),
        (with("http://x/", "a\r\nb"), "pinning.services.token"),
        (
            Settings {
                services: twice,
                ..fine.clone()
            },
            "pinning.services.url",
        ),
    ] {
        let nonsense = settings.check().unwrap_err();
        assert!(
            nonsense.setting == name && !nonsense.to_string().contains("secret"),
            "{nonsense}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_strangers_send_is_read_or_refused(text in ".{0,300}", bytes: Vec<u8>) {
        let _ = (Filter::read(&text), Pin::read(text.as_bytes()), Pin::read(&bytes), time(&text));
        let query = format!("name={text}&meta={text}&before={text}&cid={text}");
        let _ = Filter::read(&query);
    }

    #[test]
    fn pages_by_time_give_each_request_once(limit in 1_usize..5, now in proptest::collection::vec(0_u64..4, 0..12)) {
        let mut list = List::default();
        let limits = Limits { requests: 100, queue: 100 };
        for (n, now) in now.iter().enumerate() {
            let pin = Pin::read(format!(r#"{{"cid":"{CID}"}}"#).as_bytes()).unwrap();
            let request = list.ask("me", pin, n.to_string(), *now, limits, None).unwrap();
            list.apply(Record::Asked(request));
        }
        let (mut seen, mut before) = (Vec::new(), String::new());
        loop {
            let filter = Filter::read(&format!("status=queued&limit={limit}{before}")).unwrap();
            let (count, found) = list.find("me", &filter);
            prop_assert_eq!(count as usize, now.len() - seen.len());
            let Some(last) = found.last() else { break };
            before = format!("&before={}", list.told(last, &[], 0).created);
            seen.extend(found.iter().map(|one| one.id.clone()));
        }
        seen.reverse();
        prop_assert_eq!(seen, (0..now.len()).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
