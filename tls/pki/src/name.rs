//! Distinguished names, as short as certificates of a mesh have them.

use der::asn1::ObjectIdentifier;

use crate::asn1;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// `Name` with an organization and a common name; either may be absent, as in SPIFFE certificates.
pub(crate) fn encode(organization: Option<&str>, common_name: Option<&str>) -> Vec<u8> {
    let attribute = |id, text| {
        let value = asn1::sequence(&[&asn1::oid(id), &asn1::utf8(text)]);
        asn1::set_of_one(&value)
    };
    let organization = organization.map(|text| attribute(ORGANIZATION, text)).unwrap_or_default();
    let common_name = common_name.map(|text| attribute(COMMON_NAME, text)).unwrap_or_default();
    asn1::sequence(&[&organization, &common_name])
}
