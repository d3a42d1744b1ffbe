//! What visitors could type: valid for every receiver, and nothing of it taken for more than text.

use proptest::prelude::*;
use serde_json::{Value, json};
use wiremock::Request;

use super::templates::filled;
use super::{Vendor, all, event};

/// Pieces of what is something to one receiver or another.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "<!channel>",
        "<@U1>",
        "@everyone",
        "&amp;",
        "```",
        "**b**",
        "[x](https://evil.example)",
        "<script>",
        "{{ 7*7 }}",
        "{% raw %}",
        "\r\nBcc: x@example.com",
        "\u{202e}",
        "👩‍👩‍👧‍👦",
        "é",
        "\u{0}",
        "\\",
        "\"",
        "|",
        "~~",
        "ـا",
        "&",
        "<",
        ">",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (any::<char>(), 1_usize..3_000).prop_map(|(character, times)| character.to_string().repeat(times)),
    ];
    proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

/// As much of it as a lead may have.
pub(super) fn lead() -> impl Strategy<Value = Value> {
    let fit = |text: &str, limit: usize, is_line: bool| {
        let allowed = |character: &char| *character != '\0' && !(is_line && character.is_control());
        text.chars().filter(allowed).take(limit).collect::<String>()
    };
    (hostile(), hostile()).prop_map(move |(name, message)| {
        let name = format!("J{}", fit(&name, 150, true));
        json!({"name": name, "email": "jane@example.com", "message": format!("m{}", fit(&message, 9_000, false))})
    })
}

/// JSON, or a form as JSON.
pub(super) fn body_of(request: &Request) -> Value {
    request.body_json().unwrap_or_else(|_| {
        let pairs = url::form_urlencoded::parse(&request.body);
        Value::Object(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
                .collect(),
        )
    })
}

/// Every text of a request that a visitor has a part in, with its limit and whether its receiver reads Markdown in it.
fn texts(kind: &str, body: &Value) -> Vec<(String, usize, bool)> {
    let (mut found, mut add) = (Vec::new(), Vec::new());
    match kind {
        "slack" => {
            add.push((&body["text"], 3_000, true));
            for block in body["blocks"].as_array().into_iter().flatten() {
                let is_header = block["type"] == "header";
                add.push((&block["text"]["text"], if is_header { 150 } else { 3_000 }, !is_header));
                add.extend(
                    block["fields"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|field| (&field["text"], 2_000, true)),
                );
            }
        }
        "discord" => {
            let embed = &body["embeds"][0];
            add.push((&embed["title"], 256, true));
            add.push((&embed["description"], 4_096, true));
            add.extend(
                embed["fields"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|field| (&field["value"], 1_024, true)),
            );
        }
        "asana" => add.extend([
            (&body["data"]["name"], 1_000, false),
            (&body["data"]["notes"], 65_000, false),
        ]),
        "trello" => add.extend([(&body["name"], 16_384, false), (&body["desc"], 16_384, true)]),
        "linear" => {
            let input = &body["variables"]["input"];
            add.extend([(&input["title"], 255, false), (&input["description"], 65_000, true)]);
        }
        "clickup" => add.extend([
            (&body["name"], 2_000, false),
            (&body["markdown_description"], 65_000, true),
        ]),
        "hubspot" => {
            let properties = body["inputs"][0]["properties"].as_object();
            add.extend(properties.into_iter().flatten().map(|(_, text)| (text, 65_536, false)));
        }
        "salesforce" => add.extend([
            (&body["LastName"], 80, false),
            (&body["Description"], 32_000, false),
            (&body["last_name"], 80, false),
            (&body["description"], 32_000, false),
        ]),
        "pipedrive" => add.extend([
            (&body["name"], 255, false),
            (&body["title"], 255, false),
            (&body["content"], 50_000, true),
        ]),
        "mailchimp" => {
            let fields = body["merge_fields"].as_object();
            add.extend(fields.into_iter().flatten().map(|(_, text)| (text, 255, false)));
            add.push((&body["email_address"], 255, false));
        }
        "kit" => add.extend([(&body["first_name"], 255, false), (&body["email_address"], 255, false)]),
        _ => {
            add.push((&body["fields"]["summary"], 255, false));
            let content = body["fields"]["description"]["content"][0]["content"].as_array();
            add.extend(content.into_iter().flatten().map(|node| (&node["text"], 32_767, false)));
        }
    }
    for (text, limit, is_markup) in add {
        found.extend(text.as_str().map(|text| (text.to_owned(), limit, is_markup)));
    }
    found
}

/// Whether nothing in a text of Slack's markup could be more than text.
fn is_escaped_for_slack(text: &str) -> bool {
    !text.contains(['<', '>'])
        && text
            .split('&')
            .skip(1)
            .all(|rest| ["amp;", "lt;", "gt;"].iter().any(|entity| rest.starts_with(entity)))
}

/// Whether nothing in a text of HTML could be more than text and the ends of its lines.
pub(super) fn is_escaped_html(text: &str) -> bool {
    let text = text.replace("<br>", "").replace("&quot;", "").replace("&#39;", "");
    !text.contains(['"', '\'']) && is_escaped_for_slack(&text)
}

/// Whether each mark of Markdown has a backslash of its own before it.
fn is_escaped_markdown(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next().is_none() => return false,
            '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '(' | ')' | '#' | '@' => return false,
            _ => {}
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hostile_text_is_text_and_within_the_limits(lead in lead()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let by_template = |vendor: Vendor| {
            let template = filled(&*vendor.kind, "{{ data.name }} {{ data.message }}");
            (vendor, template)
        };
        let as_they_are = all().into_iter().map(|vendor| (vendor, Value::Null));
        for (vendor, template) in as_they_are.chain(all().into_iter().map(by_template)) {
            let body = event(&lead, "Acme Corp");
            let requests = runtime.block_on(vendor.requests_by(&vendor.example(), &template, body.clone()));
            if matches!(vendor.kind_name(), "zapier" | "make") {
                if template.is_null() {
                    prop_assert_eq!(&requests[0].body, &body);
                } else {
                    let told = serde_json::from_slice::<Value>(&body).expect("JSON");
                    let of = |field: &str| told["data"][field].as_str().expect("a text").to_owned();
                    let typed = format!("{} {}", of("name"), of("message"));
                    let sent = body_of(&requests[0]);
                    prop_assert_eq!(sent["text"].as_str(), Some(&*typed));
                }
                continue;
            }
            let sent = requests.iter().filter(|request| !request.body.is_empty());
            let texts = sent.flat_map(|request| texts(vendor.kind_name(), &body_of(request)));
            let texts = texts.collect::<Vec<_>>();
            prop_assert!(texts.len() >= 2);
            let together = texts.iter().map(|(text, ..)| text.chars().count()).sum::<usize>();
            prop_assert!(vendor.kind_name() != "discord" || together <= 5_900, "{}", together);
            for (index, (text, limit, is_markup)) in texts.iter().enumerate() {
                prop_assert!(!text.is_empty() && text.chars().count() <= *limit, "{}: {text}", vendor.kind_name());
                prop_assert!(!text.contains(['\u{202e}', '\r', '\0']), "{text}");
                // A label of ours is bold.
                let text = text.split_once("*\n").filter(|_| vendor.kind_name() == "slack").map_or(text.as_str(), |(_, text)| text);
                let is_escaped = match vendor.kind_name() {
                    _ if !is_markup => true,
                    "slack" => is_escaped_for_slack(text),
                    "pipedrive" => is_escaped_html(text),
                    _ => is_escaped_markdown(text),
                };
                prop_assert!(is_escaped, "{} {index}: {text}", vendor.kind_name());
            }
        }
    }
}
