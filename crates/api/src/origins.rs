//! Lists of origins in a body.

use sensei_domain::{Fault, Faults, WebOrigin, WebOriginError};
use serde_json::Value;

/// Reads at most so many origins, each once, in the order given; null is none.
pub(crate) fn read(value: &Value, pointer: &str, most: usize) -> Result<Vec<WebOrigin>, Faults> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) if list.len() <= most => list,
        Value::Array(list) => {
            let detail = format!("must hold at most {most} origins, not {}", list.len());
            return Err(Faults::one(pointer, detail));
        }
        _ => {
            return Err(Faults::one(
                pointer,
                "must be an array of origins, e.g. https://www.example.com",
            ));
        }
    };
    let (mut origins, mut faults) = (Vec::<WebOrigin>::new(), Vec::new());
    for (index, value) in list.iter().enumerate() {
        let origin = value.as_str().map(|text| text.trim().parse::<WebOrigin>());
        match origin.unwrap_or(Err(WebOriginError::NotAnOrigin)) {
            Ok(origin) if origins.contains(&origin) => {}
            Ok(origin) => origins.push(origin),
            Err(error) => faults.push(Fault {
                pointer: format!("{pointer}/{index}"),
                detail: error.to_string(),
            }),
        }
    }
    Faults::of(faults).map_or(Ok(origins), Err)
}
