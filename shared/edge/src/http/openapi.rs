//! The document of the API (OpenAPI 3.1), made from the table of routes and the types of their bodies.

use amphi_shared_wire::Code;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::Body;
use super::{Access, Routes};

type Make = fn(&mut SchemaGenerator) -> Schema;

/// What a route does: words, parameters, and the types of its bodies.
#[derive(Clone, Debug)]
pub struct Operation {
    tag: &'static str,
    summary: &'static str,
    detail: &'static str,
    scope: Option<&'static str>,
    params: Vec<Param>,
    body: Option<(Make, Option<Value>)>,
    answer: Answer,
}

#[derive(Clone, Debug)]
struct Param {
    place: &'static str,
    name: &'static str,
    about: &'static str,
    example: Option<&'static str>,
    required: bool,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Nothing,
    Json(u16, Make),
    Text(&'static str),
}

impl Operation {
    /// An operation without parameters, body and answer. `tag` groups it.
    pub fn new(tag: &'static str, summary: &'static str) -> Self {
        let (params, answer) = (Vec::new(), Answer::Nothing);
        Self { tag, summary, detail: "", scope: None, params, body: None, answer }
    }

    /// More about it, in a few sentences.
    pub fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }

    /// The scope that an API key needs.
    pub fn scope(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// A part of the path.
    pub fn path(self, name: &'static str, about: &'static str) -> Self {
        self.param("path", (name, about), None, true)
    }

    /// A query parameter that may be left out.
    pub fn query(self, name: &'static str, about: &'static str) -> Self {
        self.param("query", (name, about), None, false)
    }

    /// A query parameter that must be there, with an example.
    pub fn needs_query(self, name: &'static str, about: &'static str, example: &'static str) -> Self {
        self.param("query", (name, about), Some(example), true)
    }

    /// A header that may be left out.
    pub fn header(self, name: &'static str, about: &'static str) -> Self {
        self.param("header", (name, about), None, false)
    }

    /// The JSON that it takes, with an example.
    pub fn body<T: JsonSchema>(mut self, example: Value) -> Self {
        self.body = Some((|generator| generator.subschema_for::<T>(), Some(example)));
        self
    }

    /// The JSON that it answers.
    pub fn answer<T: JsonSchema>(self) -> Self {
        self.answer_with::<T>(200)
    }

    /// The JSON that it answers, with this status.
    pub fn answer_with<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answer = Answer::Json(status, |generator| generator.subschema_for::<T>());
        self
    }

    /// It answers something else of this content type.
    pub fn answer_text(mut self, content_type: &'static str) -> Self {
        self.answer = Answer::Text(content_type);
        self
    }

    fn param(
        mut self,
        place: &'static str,
        (name, about): (&'static str, &'static str),
        example: Option<&'static str>,
        required: bool,
    ) -> Self {
        self.params.push(Param { place, name, about, example, required });
        self
    }
}

impl Routes {
    /// Routes under `/api/` of which nobody has said what they do.
    pub fn undescribed(&self) -> Vec<String> {
        let missing = self.routes.iter().filter(|route| is_public(&route.path) && route.operation.is_none());
        missing.map(|route| format!("{} {}", route.method.as_str(), route.path)).collect()
    }
}

/// The document of every route under `/api/`.
pub fn openapi(routes: &Routes, (title, version): (&str, &str)) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Body<'_>>();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes.routes.iter().filter(|route| is_public(&route.path)) {
        let mut operation = json!({
            "operationId": operation_id(route.method.as_str(), &route.path),
            "security": security(route.access),
            "responses": { "default": {
                "description": "Refused: a problem with a numbered code.",
                "content": { "application/problem+json": { "schema": problem } },
            } },
        });
        if let Some(stated) = &route.operation {
            state(&mut operation, stated, route.access, &mut generator);
        }
        let methods = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation;
    }
    let bearer = |about: &str| json!({ "type": "http", "scheme": "bearer", "description": about });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": "Refusals are `application/problem+json` with a numbered code and what to do about it. \
                64-bit numbers are strings.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": bearer("A user token: from `/api/v1/auth/guest`, a sign-in, or another issuer."),
                "key": bearer("An API key, amk_…, made with `amphi key create`."),
            },
        },
        "x-codes": codes(),
    })
}

/// Adds what somebody has said of an operation.
fn state(operation: &mut Value, stated: &Operation, access: Access, generator: &mut SchemaGenerator) {
    operation["tags"] = json!([stated.tag]);
    operation["summary"] = json!(stated.summary);
    operation["description"] = json!(stated.detail);
    operation["x-access"] = json!(access.to_string());
    if let Some(scope) = stated.scope {
        operation["x-scope"] = json!(scope);
    }
    let param = |param: &Param| {
        let mut said = json!({
            "name": param.name,
            "in": param.place,
            "required": param.required,
            "description": param.about,
            "schema": { "type": "string" },
        });
        if let Some(example) = param.example {
            said["example"] = json!(example);
        }
        said
    };
    operation["parameters"] = stated.params.iter().map(param).collect();
    if let Some((make, example)) = &stated.body {
        let content = json!({ "schema": make(generator), "example": example });
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": content } });
    }
    let (status, answer) = match stated.answer {
        Answer::Nothing => (204, json!({ "description": "Done." })),
        Answer::Json(status, make) => {
            let content = json!({ "application/json": { "schema": make(generator) } });
            (status, json!({ "description": "Done.", "content": content }))
        }
        Answer::Text(content_type) => {
            let content = json!({ content_type: { "schema": { "type": "string" } } });
            (200, json!({ "description": "Done.", "content": content }))
        }
    };
    operation["responses"][status.to_string()] = answer;
}

fn is_public(path: &str) -> bool {
    path.starts_with("/api/")
}

/// `POST /api/v1/matches/{id}/seat` is `post-matches-id-seat`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(['/', '{', '}']).filter(|word| !matches!(*word, "" | "api" | "v1"));
    std::iter::once(method.to_lowercase().as_str()).chain(words).collect::<Vec<_>>().join("-")
}

fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::User | Access::Role(_) | Access::Service(_) => json!([{ "token": [] }]),
        Access::Key { guests: false } => json!([{ "token": [] }, { "key": [] }]),
        Access::Key { guests: true } => json!([{}, { "token": [] }, { "key": [] }]),
    }
}

/// Every code, so that the document explains what a problem says.
fn codes() -> Value {
    let code = |code: &Code| {
        json!({
            "code": format!("A{:04}", code.number()),
            "name": code.name(),
            "action": code.action().as_str(),
            "help": code.help(),
        })
    };
    Code::ALL.iter().map(code).collect()
}
