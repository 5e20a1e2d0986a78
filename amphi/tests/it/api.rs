//! The document of the API against the API itself.

use reqwest::Method;
use serde_json::Value;

use crate::process::Up;

/// Every operation of the document: method, path, and what it says.
fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(|(method, stated)| (method.to_uppercase().parse().unwrap(), path.clone(), stated))
    });
    methods.collect()
}

#[tokio::test]
async fn what_the_document_says_is_what_the_server_takes() {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| {
        let answer = http.get(format!("{}{path}", up.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    let document: Value = serde_json::from_str(&get("/api/v1/openapi.json").await).unwrap();
    let guest = http.post(format!("{}/api/v1/auth/guest", up.url)).body(r#"{"name":"Ada"}"#);
    let guest: Value = guest.send().await.unwrap().json().await.unwrap();
    let token = guest["token"].as_str().unwrap();
    let all = operations(&document);
    assert!(all.len() >= 18, "{}", all.len());
    for (method, path, stated) in all {
        for field in ["summary", "operationId", "x-access"] {
            assert!(stated[field].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {field}");
        }
        let named = |param: &Value| path.contains(&format!("{{{}}}", param["name"].as_str().unwrap()));
        let params = stated["parameters"].as_array().unwrap();
        let of_path: Vec<_> = params.iter().filter(|param| param["in"] == "path").collect();
        assert!(of_path.len() == path.matches('{').count() && of_path.into_iter().all(named), "{method} {path}");
        let url = params.iter().filter(|param| param["required"] == true && param["in"] == "query").fold(
            reqwest::Url::parse(&format!("{}{path}", up.url)).unwrap(),
            |mut url, param| {
                url.query_pairs_mut().append_pair(param["name"].as_str().unwrap(), param["example"].as_str().unwrap());
                url
            },
        );
        let mut call = http.request(method.clone(), url).bearer_auth(token);
        if let Some(body) = stated.get("requestBody") {
            call = call.body(body["content"]["application/json"]["example"].to_string());
        }
        // What is missing (a class for the topic, a match of that id) is said by its code; the example itself is understood.
        let answer = call.send().await.unwrap();
        let (status, kind) = (answer.status(), answer.headers()["content-type"].to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        assert!(
            !["A0500", "A0502", "A0503", "A0900"].iter().any(|code| text.contains(&format!("\"{code}\",\"name"))),
            "{method} {path}: {text}"
        );
        if !status.is_success() {
            assert_eq!(kind, "application/problem+json", "{method} {path}: {text}");
        } else if let Some(answer) = stated["responses"].get(status.as_str()) {
            let stated = answer["content"].as_object().unwrap().keys().next().unwrap();
            assert!(kind.starts_with(stated.as_str()), "{method} {path}: {kind} for {stated}");
        }
    }
    let page = get("/api/docs").await;
    assert!(page.contains("<title>Amphi: the HTTP API</title>"));
    for outside in ["http://", "https://", "//cdn"] {
        assert!(!page.contains(outside), "the page needs {outside}");
    }
}
