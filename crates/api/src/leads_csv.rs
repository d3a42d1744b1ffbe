//! `/v1/clients/{clientId}/leads.csv`: leads as a table for other programs, written as it is read.

use axum::BoxError;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sensei_persistence::{Lead, LeadFilter, Page};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::ClientAccess;
use crate::lead_query::{AllLeadsQuery, LeadParameters};
use crate::problem::Problem;
use crate::state::ApiState;

/// Leads that are read at once: what is kept in memory.
const PIECE: u32 = 500;
/// The first line. RFC 4180: lines end by CR LF.
const HEADER: &str = "id,createdAt,name,email,phone,message,sessionId,custom,erasedAt\r\n";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(export))
}

/// Export leads
///
/// As CSV (RFC 4180), newest first, with a header line: all that the filters let through, however many. Custom fields are JSON. A cell that
/// a spreadsheet would take for a formula begins with an apostrophe. An answer that breaks off isn't complete.
#[utoipa::path(get, path = "/v1/clients/{clientId}/leads.csv", tag = "leads", operation_id = "exportLeads",
    params(("clientId" = Uuid, Path, description = "Whose leads"), LeadParameters),
    responses((status = OK, description = "The leads", body = String, content_type = "text/csv")))]
async fn export(
    access: ClientAccess,
    AllLeadsQuery(filter): AllLeadsQuery,
    State(state): State<ApiState>,
) -> Result<Response, Problem> {
    state.client(access.client_id).await?;
    let export = Export {
        state,
        access,
        filter,
        next: Next::First,
    };
    let pieces = futures_util::stream::unfold(export, |mut export| async {
        let piece = export.piece().await.transpose()?;
        Some((piece, export))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"leads.csv\""),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

struct Export {
    state: ApiState,
    access: ClientAccess,
    filter: LeadFilter,
    next: Next,
}

/// Where an export goes on.
enum Next {
    First,
    Behind(Uuid),
    Nothing,
}

impl Export {
    /// Some lines more; nothing at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>, BoxError> {
        let (client, store) = (self.access.client_id, self.state.store());
        let (mut text, before) = match self.next {
            Next::First => (HEADER.to_owned(), None),
            Next::Behind(id) => (String::new(), Some(id)),
            Next::Nothing => return Ok(None),
        };
        // Once: what is read after an error would follow a gap.
        self.next = Next::Nothing;
        if before.is_some() && !store.may_still_see(self.access.key_id(), client).await? {
            return Err("the right to see it has ended".into());
        }
        let page = Page { limit: PIECE, before };
        let found = store.find_leads(client, &self.filter, page).await;
        let found = found.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "an export of leads breaks off");
        })?;
        self.next = found.next.map_or(Next::Nothing, Next::Behind);
        for lead in &found.leads {
            write(&mut text, lead);
        }
        Ok(Some(Bytes::from(text)))
    }
}

fn write(text: &mut String, lead: &Lead) {
    let custom = lead
        .custom
        .as_ref()
        .map(|custom| serde_json::Value::Object(custom.clone()).to_string());
    let cells = [
        lead.id.to_string(),
        lead.created_at.to_string(),
        lead.name.clone(),
        lead.email.clone(),
        lead.phone.clone().unwrap_or_default(),
        lead.message.clone().unwrap_or_default(),
        lead.session_id.clone().unwrap_or_default(),
        custom.unwrap_or_default(),
        lead.erased_at.map(|at| at.to_string()).unwrap_or_default(),
    ];
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&quoted(cell));
    }
    text.push_str("\r\n");
}

/// A cell that no program takes for anything but its text.
fn quoted(cell: &str) -> String {
    // Spreadsheets take such cells for formulas, also behind white space.
    let begins = cell.trim_start_matches([' ', '\u{a0}', '\u{feff}']);
    let is_formula = begins.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let cell = if is_formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\r', '\n', ';', '\t']) || cell.starts_with(' ') || cell.ends_with(' ') {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_cell_is_a_text_and_nothing_else() {
        for (cell, expected) in [
            ("", ""),
            ("John Doe", "John Doe"),
            ("Doe, John", "\"Doe, John\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("+1234567890", "'+1234567890"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            (" =1", "' =1"),
            (" a", "\" a\""),
            (
                "=HYPERLINK(\"http://x\",\"y\")",
                "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"",
            ),
            ("a=1", "a=1"),
        ] {
            assert_eq!(quoted(cell), expected, "{cell:?}");
        }
    }
}
