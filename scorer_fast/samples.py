"""Two good credentials, one of each proof format, by which the doctor sees whether didkit can tell."""

EIP712 = """
{"@context": ["https://www.w3.org/2018/credentials/v1", "https://w3id.org/vc/status-list/2021/v1"], "type":
["VerifiableCredential"], "credentialSubject": {"id":
"did:pkh:eip155:1:0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1", "@context": {"nullifiers": {"@container":
"@list", "@type": "https://schema.org/Text"}, "provider": "https://schema.org/Text"}, "provider": "Google",
"nullifiers": ["v0.0.0:Google:0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"]}, "issuer":
"did:ethr:0xc686685b70777e5e1c5f878c2b26b806ddb5f9f1", "issuanceDate": "2026-01-01T00:00:00Z", "proof":
{"@context": "https://w3id.org/security/suites/eip712sig-2021/v1", "type": "EthereumEip712Signature2021",
"proofPurpose": "assertionMethod", "proofValue":
"0x6da4f68aefbfe953d76855ae5be1c994b58f0d989c0c951159d76154f41a285514089279f8b26e073093173253e45b1a4a0ef79c2564f532ead765b30fffaf751b",
"verificationMethod": "did:ethr:0xc686685b70777e5e1c5f878c2b26b806ddb5f9f1#controller", "created":
"2026-11-22T22:27:17.755Z", "eip712Domain": {"domain": {"name": "VerifiableCredential"}, "primaryType":
"Document", "types": {"@context": [{"name": "nullifiers", "type": "NullifiersContext"}, {"name": "provider",
"type": "string"}], "CredentialSubject": [{"name": "@context", "type": "@context"}, {"name": "nullifiers",
"type": "string[]"}, {"name": "id", "type": "string"}, {"name": "provider", "type": "string"}], "Document":
[{"name": "@context", "type": "string[]"}, {"name": "credentialSubject", "type": "CredentialSubject"},
{"name": "expirationDate", "type": "string"}, {"name": "issuanceDate", "type": "string"}, {"name": "issuer",
"type": "string"}, {"name": "proof", "type": "Proof"}, {"name": "type", "type": "string[]"}],
"EIP712Domain": [{"name": "name", "type": "string"}], "NullifiersContext": [{"name": "@container", "type":
"string"}, {"name": "@type", "type": "string"}], "Proof": [{"name": "@context", "type": "string"}, {"name":
"created", "type": "string"}, {"name": "proofPurpose", "type": "string"}, {"name": "type", "type":
"string"}, {"name": "verificationMethod", "type": "string"}]}}}, "expirationDate": "2099-01-01T00:00:00Z"}
"""
ED25519 = """
{"@context": ["https://www.w3.org/2018/credentials/v1"], "type": ["VerifiableCredential"],
"credentialSubject": {"id": "did:pkh:eip155:1:0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1", "nullifiers":
["v0.0.0:Google:0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"], "@context": [{"nullifiers": {"@container":
"@list", "@id": "https://schema.org/identifier", "@type": "https://schema.org/Text"}, "provider":
"https://schema.org/Text"}], "provider": "Google"}, "issuer":
"did:key:z6MkvurnCUs93M1vWvn7iswA4A2awpkxMu9mSEP2ivRXEE4j", "issuanceDate": "2026-01-01T00:00:00Z", "proof":
{"type": "Ed25519Signature2018", "proofPurpose": "assertionMethod", "verificationMethod":
"did:key:z6MkvurnCUs93M1vWvn7iswA4A2awpkxMu9mSEP2ivRXEE4j#z6MkvurnCUs93M1vWvn7iswA4A2awpkxMu9mSEP2ivRXEE4j",
"created": "2026-11-22T22:27:17.767Z", "jws":
"eyJhbGciOiJFZERTQSIsImNyaXQiOlsiYjY0Il0sImI2NCI6ZmFsc2V9..xG_gCunKn3N_LwWRh2S3P4CWoEHJeXSZaAdHzzjNPtBI5iidykJM6GECmKzTkNmZClA7X70NEAuEkpuj1moFAQ"},
"expirationDate": "2099-01-01T00:00:00Z"}
"""
