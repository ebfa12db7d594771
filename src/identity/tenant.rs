//! Several tenants of Entra behind one issuer: a template in which the tenant's id is left open ("Validate the issuer" in
//! Microsoft's page on access tokens).

use crate::config::TENANT;

/// The tenant that an issuer names, where it is made after this template.
pub(super) fn of<'a>(template: &str, issuer: &'a str) -> Option<&'a str> {
    let (before, after) = template.split_once(TENANT)?;
    issuer.strip_prefix(before)?.strip_suffix(after)
}

/// Whether this is how Entra writes a tenant's id.
pub(super) fn is_id(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_one_whole_part_of_the_issuer() {
        let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
        assert_eq!(of(template, "https://login.microsoftonline.com/a/v2.0"), Some("a"));
        for issuer in ["https://login.microsoftonline.com/a/v2.0/", "https://login.microsoftonline.com.evil/a/v2.0", "https://sts.windows.net/a/"] {
            assert_eq!(of(template, issuer), None, "{issuer}");
        }
        assert_eq!(of("https://idp", "https://idp"), None);
        assert!(is_id("9188040d-6c67-4c5b-b112-36a304b66dad"));
        for text in
            ["", "common", "9188040D-6c67-4c5b-b112-36a304b66dad", "9188040d-6c67-4c5b-b112-36a304b66dad/x", "9188040d6c674c5bb11236a304b66dad----"]
        {
            assert!(!is_id(text), "{text}");
        }
    }
}
