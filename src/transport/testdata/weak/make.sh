#!/bin/sh
# Makes the certificates beside it: properly signed, each with one link of its chain too weak, which rcgen cannot build.
# Run by hand when one is missing; every private key is thrown away. Needs OpenSSL 3.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >ca.cnf <<'END'
[ca]
default_ca = one
[one]
new_certs_dir = .
database = index.txt
rand_serial = yes
policy = any
default_startdate = 20260101000000Z
default_enddate = 21260101000000Z
unique_subject = no
[any]
commonName = supplied
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth, serverAuth
subjectAltName = URI:talkbridge://nl/gateway/gw-1
END
: >index.txt

issue() { # NAME ISSUER DIGEST EXTENSIONS KEY-OPTIONS...: a certificate under the issuer, or under itself
    name=$1 issuer=$2 digest=$3 extensions=$4
    shift 4
    openssl genpkey -quiet "$@" -out "$name.key"
    openssl req -new -key "$name.key" -subj "/CN=weak $name" -out "$name.csr"
    if [ "$name" = "$issuer" ]; then signer=-selfsign; else signer="-cert $issuer.pem"; fi
    # shellcheck disable=SC2086  # several words are meant
    openssl ca -batch -notext -config ca.cnf $signer -keyfile "$issuer.key" -md "$digest" -extensions "$extensions" \
        -in "$name.csr" -out "$name.pem" 2>/dev/null
}
rsa() { echo "-algorithm RSA -pkeyopt rsa_keygen_bits:$1"; }

# shellcheck disable=SC2046  # several words are meant
{
    # The root signs with SHA-1.
    issue sha1-root sha1-root sha256 root $(rsa 2048)
    issue sha1 sha1-root sha1 leaf -algorithm ED25519
    # A sound root vouches for an intermediate with a key of 1,024 bits.
    issue rsa1024-root rsa1024-root sha256 root $(rsa 2048)
    issue rsa1024-middle rsa1024-root sha256 root $(rsa 1024)
    issue rsa1024 rsa1024-middle sha256 leaf -algorithm ED25519
    # A sound algorithm that no peer has to know.
    issue ed448-root ed448-root default root -algorithm ED448
    issue ed448 ed448-root default leaf -algorithm ED25519
}
cp sha1-root.pem sha1.pem rsa1024-root.pem ed448-root.pem ed448.pem "$here"
cat rsa1024.pem rsa1024-middle.pem >"$here/rsa1024.pem"
