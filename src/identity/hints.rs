//! What to do about a token that does not fit: first by what stands in it, then by the provider's preset.

use super::diagnosis::{folded, quote};
use super::token::Parsed;
use crate::config::{AudienceClaim, Preset, Provider, TokenType};

/// What to do about the audience, by the pattern of the wrong one.
pub(super) fn audience(seen: &[&str], parsed: &Parsed<'_>, config: &Provider) -> String {
    let ours = quote(config.audiences.first().map_or("", String::as_str));
    if let Some(near) = seen.iter().find(|seen| config.audiences.iter().any(|ours| folded(ours) == folded(seen))) {
        return format!("Audiences are compared byte for byte, and {} differs only by case, spaces, scheme or a slash.", quote(near));
    }
    match of_pattern(seen, parsed, config, &ours) {
        Some(hint) => hint,
        None => of_preset(config, &ours),
    }
}

fn of_pattern(seen: &[&str], parsed: &Parsed<'_>, config: &Provider, ours: &str) -> Option<String> {
    let any = |is: fn(&str) -> bool| seen.iter().any(|seen| is(seen));
    let issuer = parsed.text("iss").unwrap_or_default();
    if seen.is_empty() && parsed.text("token_use") == Some("access") {
        return Some(
            "Access tokens of Cognito carry client_id instead: set audience_claim: client_id, or have the client request `resource=`.".to_owned(),
        );
    }
    if seen == ["account"] || (seen.is_empty() && (parsed.claims.contains_key("realm_access") || parsed.text("typ") == Some("Bearer"))) {
        return Some(keycloak(seen, parsed, ours));
    }
    if any(|seen| seen.starts_with("00000003-0000-0000-c000-") || seen.contains("graph.microsoft.com")) {
        return Some("This is a token for Microsoft Graph, which only Graph can verify: request the scope api://<your app>/.default.".to_owned());
    }
    if let Some((bare, uri)) = pair_of_entra(seen, config) {
        return Some(format!("Entra's tokens of version 2 carry the bare client id {bare}, those of version 1 the App ID URI {uri}: list both."));
    }
    if seen == [issuer] && issuer.contains(".okta") {
        return Some(
            "Tokens of Okta's org server are for Okta alone: use a custom authorization server (/oauth2/default), or the ID token.".to_owned(),
        );
    }
    if !seen.is_empty() && seen.iter().all(|seen| seen.ends_with("/userinfo")) {
        return Some(format!("The client asked Auth0 for no API: have it request audience={ours}."));
    }
    if any(|seen| seen.starts_with("https://github.com/")) {
        return Some(format!("That is GitHub's default: request the token with core.getIDToken({ours})."));
    }
    if any(|seen| seen.starts_with("https://kubernetes.default.svc")) {
        return Some(format!(
            "That is the API server's audience: project the token with audience {ours}, or kubectl create token --audience {ours}."
        ));
    }
    if let Some(org) = seen.iter().find(|seen| seen.starts_with("org:")) {
        return Some(format!("That is Grafana's own ID token: configure its issuer with preset: grafana and audiences: [{}].", quote(org)));
    }
    // Where the client is asked for as the audience, it says nothing about the kind of token.
    let client = parsed.text("azp").or_else(|| parsed.text("client_id")).filter(|_| config.audience_claim == AudienceClaim::Aud);
    client.filter(|client| seen == [*client]).map(|client| {
        format!(
            "Its audience is the client {} itself, as in an ID token: send an access token for {ours}, or take ID tokens (audiences, token_types: [id]).",
            quote(client)
        )
    })
}

/// A client id and the App ID URI of the same application, one of them seen and the other configured.
fn pair_of_entra(seen: &[&str], config: &Provider) -> Option<(String, String)> {
    let pairs = seen.iter().flat_map(|seen| config.audiences.iter().map(move |ours| (*seen, ours.as_str())));
    pairs
        .flat_map(|(seen, ours)| [(seen, ours), (ours, seen)])
        .find(|(bare, uri)| uri.strip_prefix("api://") == Some(*bare))
        .map(|(bare, uri)| (quote(bare), quote(uri)))
}

fn keycloak(seen: &[&str], parsed: &Parsed<'_>, ours: &str) -> String {
    let client = parsed.text("azp").map_or_else(|| "the client".to_owned(), |azp| format!("client {}", quote(azp)));
    // Lightweight tokens lack the roles too, and have of a mapper only what it says.
    let light = if seen.is_empty() && !parsed.claims.contains_key("realm_access") {
        ", for lightweight tokens with Add to lightweight access token"
    } else {
        ""
    };
    format!("Keycloak sets no audience by itself: add an Audience mapper with {ours} to a default client scope of {client}{light}.")
}

fn of_preset(config: &Provider, ours: &str) -> String {
    let Some(preset) = config.preset else {
        return format!("Ask the client to request a token for {ours} (its audience, resource or scope setting).");
    };
    match preset {
        Preset::Entra => "Request the scope api://<the application of Keyhouse>/.default; the audience is that application's id.".to_owned(),
        Preset::Okta => format!("The audience stands in the authorization server's settings (Security, API): it must be {ours}."),
        Preset::Keycloak => format!("Add an Audience mapper with {ours} to a default client scope of the client."),
        Preset::Cognito => format!("List the app client's id under audiences, or have the client request resource={ours}."),
        Preset::Auth0 => format!("Have the client request audience={ours}, the API's identifier."),
        Preset::Google => "The audience is the OAuth client's id, or what a service account asks for with --audiences.".to_owned(),
        Preset::GithubActions => format!("Request the token with core.getIDToken({ours})."),
        Preset::GitlabCi => format!("Write id_tokens: {{TOKEN: {{aud: {ours}}}}} in the job."),
        Preset::Kubernetes => format!("Project the token with audience {ours}, or kubectl create token --audience {ours}."),
        Preset::Grafana => "Grafana's audience is org: and the organisation's number.".to_owned(),
        Preset::Teleport => "Teleport's audience is the application's internal URI.".to_owned(),
        Preset::Dex => format!("Have the client request the scope audience:server:client_id:{}.", ours.trim_matches('"')),
        Preset::Zitadel => "Have the client request the scope urn:zitadel:iam:org:project:id:<project>:aud.".to_owned(),
        Preset::Authentik => "The audience is the client id of authentik's provider.".to_owned(),
    }
}

/// How the claim with the groups gets into the token.
pub(super) fn groups(config: &Provider) -> &'static str {
    match config.preset {
        None => "Have the provider add it (Okta: a claim, Keycloak: a mapper, Entra: app roles).",
        Some(Preset::Entra) => "Entra: add app roles to the application and assign them, or the optional claim groups.",
        Some(Preset::Okta) => "Okta: add a claim `groups` with a filter to the custom authorization server.",
        Some(Preset::Keycloak) => "Keycloak: add a Group Membership or role mapper to a default client scope.",
        Some(Preset::Cognito) => "Cognito: the user is in no group of the pool.",
        Some(Preset::Auth0) => "Auth0: switch on RBAC and Add Permissions in the Access Token, or add a claim by an Action.",
        Some(Preset::Zitadel) => "Zitadel: switch on Assert Roles on Authentication, or request the roles' scope.",
        Some(Preset::Authentik | Preset::Dex) => "Have the client request the scope that carries groups (authentik: profile, Dex: groups).",
        Some(Preset::Teleport) => "Teleport: the token of an application carries roles; is this one?",
        Some(Preset::Google | Preset::GithubActions | Preset::GitlabCi | Preset::Kubernetes | Preset::Grafana) => {
            "This provider issues no groups: map one of its own claims, or leave claim_mappings.groups out."
        }
    }
}

/// Why an issuer that nobody configured looks like one that somebody did.
pub(super) fn issuer(seen: &str, known: &[&Provider]) -> Option<String> {
    if let Some(near) = known.iter().find(|provider| folded(&provider.issuer) == folded(seen)) {
        return Some(format!(
            "It differs from that of {} only by case, scheme or a slash; issuers are compared byte for byte: write it in the config exactly as the token has it.",
            near.name
        ));
    }
    let entra = known.iter().find(|provider| provider.issuer.starts_with("https://login.microsoftonline.com/"));
    if let Some(entra) = entra.filter(|_| seen.starts_with("https://sts.windows.net/")) {
        return Some(format!(
            "That is Entra's token of version 1, and {} is version 2: set requestedAccessTokenVersion to 2 in the API's manifest, or add the v1 issuer.",
            entra.name
        ));
    }
    let at_okta = |provider: &&&Provider| provider.issuer.strip_prefix(seen).is_some_and(|rest| rest.starts_with("/oauth2/"));
    if let Some(okta) = known.iter().find(at_okta).filter(|_| seen.contains(".okta")) {
        return Some(format!(
            "That is Okta's org server, whose tokens are for Okta alone: have the client ask the authorization server of {}, {}.",
            okta.name, okta.issuer
        ));
    }
    // Keycloak's path before version 17.
    let without_auth = |issuer: &str| folded(issuer).replacen("/auth/realms/", "/realms/", 1);
    let moved = known.iter().find(|provider| without_auth(&provider.issuer) == without_auth(seen));
    moved.map(|provider| format!("It differs from that of {} by the path /auth of older Keycloaks: write it as the token has it.", provider.name))
}

/// Which of the two tokens of a sign-in to send.
pub(super) fn send(token_types: &[TokenType]) -> &'static str {
    if token_types.contains(&TokenType::Access) { "Send the access token." } else { "Send the ID token, or allow token_types: [access]." }
}
