"""What each code of `certd.acme.problems` means and what helps, in English. Data only.

`does` is said only where it is not what certd does for every failure of that kind (`BY_KIND`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from certd.model.codes import Kind


class Text(NamedTuple):
    """What happened, what the operator should do, and what certd does where it is special."""

    happened: str
    remedy: str
    does: str = ""


BY_KIND: Final = {
    Kind.VALIDATION: "certd places a new order after 1, 10 and 100 minutes, then once a day; from the third failure "
    "in a row on it alarms.",
    Kind.TRANSIENT: "certd tries again after a minute, then at doubling intervals of up to six hours; it alarms only "
    "once the certificate's time runs short.",
    Kind.RATE_LIMITED: "certd waits as long as the CA asks in Retry-After, a minute at least and a week at most; "
    "without one it tries again after a minute, then at doubling intervals of up to six hours. A limit of the whole "
    "account holds every order on that CA.",
    Kind.OPERATOR: "certd raises an alarm now and tries again once a day, or at once after `certd renew NAME`.",
    Kind.ACCOUNT: "certd raises an alarm now and asks the CA again after ten minutes; if the answer stays, it stops "
    "ordering there and asks every six hours.",
    Kind.BUG: "certd logs what it had sent, without secrets, raises an alarm now and tries again once a day.",
    Kind.NEW_ORDER: "certd drops the order and places a new one after a minute, if need be again at doubling "
    "intervals of up to six hours; that counts as an attempt.",
    Kind.POLL: "certd reads the order and its authorizations again after five seconds and goes on from their real "
    "status; after five times in a row it drops the order and places a new one.",
    Kind.SUCCESS: "certd counts this as done.",
}

NOTHING: Final = "Nothing, unless it stays for hours: then ask the CA whether it has a maintenance window."
REGISTRATION: Final = (
    "certd raises an alarm now and tries again once a day, or at once when it loads a changed configuration."
)
ONCE: Final = "certd does not repeat the request."
CA_SUPPORT: Final = "Report this to the CA, with the log lines of this order; nothing on this host is wrong."

TEXTS: Final[dict[str, Text]] = {
    "acme:account-does-not-exist": Text(
        "The CA does not know the account.",
        "If the account was removed at the CA, put unused EAB credentials into `cas.NAME.eab` and reload certd; "
        "with JPRS the reseller issues them anew. If accounts/ was restored from a backup, check that it is "
        "the newest one.",
        "certd raises an alarm now and asks the CA again after ten minutes; if the answer stays, it stops ordering "
        "there. It registers again only if usable EAB credentials are configured.",
    ),
    "acme:already-revoked": Text(
        "The certificate that was to be revoked is already revoked.", "Nothing: what was asked for is already so."
    ),
    "acme:bad-csr": Text(
        "The CA does not accept the certificate request: its key is too short or of a kind that the CA does not take.",
        "The message names the type of key that was sent. Set `key` of the certificate to one that the CA takes; JPRS "
        "takes rsa2048.",
    ),
    "acme:bad-nonce": Text(
        "The CA refused one nonce after the other.",
        NOTHING,
        "certd sends again at once with the nonce that came with the error; only after 20 refusals in a row it counts "
        "as a failure and is tried again from a minute later on.",
    ),
    "acme:bad-public-key": Text(
        "The CA does not accept the type of the account key.",
        "Configure this CA under another name in `cas`, with another `account_key` (rsa2048, p256 or p384), so that a "
        "new account key is made; a new account may need new EAB credentials.",
    ),
    "acme:bad-revocation-reason": Text(
        "The CA does not allow the revocation reason that was sent.",
        "Revoke again with another reason: unspecified, keyCompromise, superseded or cessationOfOperation.",
        ONCE,
    ),
    "acme:bad-signature-algorithm": Text(
        "The CA does not accept the signature algorithm of the account key.",
        "Configure this CA under another name in `cas`, with an `account_key` whose algorithm the CA lists in its "
        "message: rsa2048 signs with RS256, p256 with ES256, p384 with ES384.",
    ),
    "acme:caa": Text(
        "CAA records of the domain forbid this CA to issue.",
        'Add a CAA record for this CA to the domain or a parent of it; for JPRS: `example.jp. CAA 0 issue "jprs.jp"`. '
        "The failure's text names the records that certd found; `dig CAA NAME` shows them as they are now.",
    ),
    "acme:connection": Text(
        "The CA could not connect to the server it validates.",
        "Check that the name's A and AAAA records lead to this server and that port 80 is open to the whole Internet: "
        "firewall, load balancer, IPv6.",
        "certd places a new order after 1, 10 and 100 minutes, then once a day; from the third failure in a row on it "
        "alarms.",
    ),
    "acme:dns": Text(
        "The CA's DNS query for the name failed.",
        "Check that every name server of the domain answers, also by TCP, and that DNSSEC signatures are valid.",
        "certd places a new order after 1, 10 and 100 minutes, then once a day; from the third failure in a row on it "
        "alarms.",
    ),
    "acme:tls": Text(
        "The CA met a TLS error while it validated.",
        "Check that no redirect from http to https leads the CA to a server with a broken TLS configuration.",
        "certd places a new order after 1, 10 and 100 minutes, then once a day; from the third failure in a row on it "
        "alarms.",
    ),
    "acme:incorrect-response": Text(
        "The CA found something else than the expected response to the challenge.",
        "Check that port 80 of the name shows the configured webroot below /.well-known/acme-challenge/: look for "
        "rewrites, other virtual hosts and further servers behind the same name.",
    ),
    "acme:unauthorized": Text(
        "The CA validated the name and was not convinced: the response was missing or wrong.",
        "Check that port 80 of the name shows the configured webroot below /.well-known/acme-challenge/: look for "
        "rewrites, access rules, other virtual hosts and further servers behind the same name.",
    ),
    "acme:account-status": Text(
        "The CA does not accept the account: its status is not right, as after a deactivation.",
        "Ask the CA (with JPRS: the reseller) about the state of the account. If it is gone, put new EAB credentials "
        "into `cas.NAME.eab` and reload certd.",
    ),
    "acme:registration-refused": Text(
        "The CA refused to register the account.",
        "Check `cas.NAME.eab`: the key identifier, the MAC key, and whether they are still unused and not expired "
        "(JPRS: 14 days from issue).",
        REGISTRATION,
    ),
    "acme:external-account-required": Text(
        "The CA registers accounts only with EAB credentials.",
        "Put the key identifier and the MAC key that the CA or reseller handed out into `cas.NAME.eab`.",
        REGISTRATION,
    ),
    "acme:invalid-contact": Text(
        "A contact address is malformed in the eyes of the CA.",
        "Correct `cas.NAME.contact`: plain e-mail addresses, without mailto: and without a display name.",
        REGISTRATION,
    ),
    "acme:unsupported-contact": Text(
        "A contact has a URL scheme that the CA does not take.",
        "Use e-mail addresses only in `cas.NAME.contact`.",
        REGISTRATION,
    ),
    "acme:unsupported-identifier": Text(
        "The CA does not issue for this type of identifier, such as an IP address.",
        "Take the identifier named in the message out of `domains`, or choose a CA that supports it.",
    ),
    "acme:rejected-identifier": Text(
        "The CA does not issue for one of the names.",
        "Check the name's spelling, and with JPRS whether the FQDN is registered with the reseller.",
    ),
    "acme:malformed": Text(
        "The CA calls the request wrong in its form: a field is missing or not as it must be.",
        "Report it to the makers of certd with the log lines; an update of certd may already cure it.",
    ),
    "acme:order-not-ready": Text(
        "The order was finalized before the CA had it ready.", "Nothing: the next poll shows how it goes on."
    ),
    "acme:rate-limited": Text(
        "The CA limits the number of requests or certificates, and the limit is reached.",
        "Wait. If it comes again, lower `cas.NAME.limits`, or put several names into one certificate.",
    ),
    "acme:server-internal": Text(
        "The CA has an internal error.",
        NOTHING,
        "certd tries again after a minute, then at doubling intervals of up to six hours, without an alarm while the "
        "live certificate has time left.",
    ),
    "acme:user-action-required": Text(
        "The CA wants a person to act first, for example to agree to new terms.",
        "Open the page that the message names, do what it asks, then run `certd renew NAME`.",
    ),
    "acme:compound": Text(
        "The CA reports several errors at once.", "See the single errors in the message and cure the first one."
    ),
    "acme:already-replaced": Text(
        "The CA has already replaced the certificate that the order names as replaced.",
        "Nothing: the next order does not name it.",
        "certd places a new order that names no predecessor.",
    ),
    "acme:invalid-profile": Text(
        "The CA does not offer the certificate profile that was asked for.",
        "Choose one of the profiles in the CA's directory, or none.",
    ),
    "acme:unknown": Text(
        "The CA refused the request with an error that certd does not know.",
        "Read the CA's message; if it does not help, ask the CA's support.",
    ),
    "jprs:eab-invalid": Text(
        "The CA could not make the account: the EAB credentials are not valid.",
        "EAB credentials of JPRS live 14 days from issue and are spent by one registration. Ask the reseller for new "
        "ones, put them into `cas.NAME.eab` and reload certd.",
        REGISTRATION,
    ),
    "jprs:contact-invalid": Text(
        "The CA does not accept the contacts: none, more than six, or one twice.",
        "Set 1 to 6 different e-mail addresses in `cas.NAME.contact`; `certd check` warns of this.",
        REGISTRATION,
    ),
    "jprs:terms-not-agreed": Text(
        "The CA's terms of service were not agreed to.",
        "Read the terms whose URL certd logs at registration, then set `cas.NAME.terms_of_service_agreed: true`.",
        REGISTRATION,
    ),
    "jprs:fqdn-invalid": Text(
        "The CA cannot issue for one of the names.",
        "Correct the FQDN that the message names, or take it out of `domains`; internal names and bare public suffixes "
        "cannot be had.",
    ),
    "jprs:order-expired": Text("The order has expired at the CA.", "Nothing, unless it comes again and again."),
    "jprs:order-status": Text(
        "The order is not in a state in which the CA takes this request.",
        "Nothing, unless it comes again and again.",
    ),
    "jprs:authorization-expired": Text(
        "The authorization of a name has expired at the CA.", "Nothing, unless it comes again and again."
    ),
    "jprs:authorization-status": Text(
        "The authorization of a name is not in a state in which the CA takes this request.",
        "Nothing, unless it comes again and again.",
    ),
    "jprs:certificate-unknown": Text(
        "The CA does not know the certificate that was to be revoked.",
        "Check the serial number and whether this CA issued the certificate.",
        ONCE,
    ),
    "jprs:method-invalid": Text(
        "The CA does not allow the HTTP method of the request.",
        "Check that the directory URL is right and no proxy changes requests; else report it to the makers of certd.",
    ),
    "jprs:content-type-invalid": Text(
        "The CA does not allow the content type of the request.",
        "Check that no proxy changes requests; else report it to the makers of certd.",
    ),
    "order-vanished": Text(
        "The CA says that the order or one of its authorizations does not exist (404).",
        "Nothing, unless it comes again and again.",
        "Within ten minutes of the order's creation certd takes this for a slow replica and asks again, first after "
        "ten seconds; later it places a new order.",
    ),
    "http:not-found": Text(
        "The CA says that what was asked for does not exist (404).",
        "If it stays, check `cas.NAME.directory`.",
    ),
    "http:too-many-requests": Text(
        "The CA answers 429: too many requests.", "Wait. If it comes again, lower `cas.NAME.limits`."
    ),
    "http:unavailable": Text(
        "The CA cannot serve at the moment (a 5xx answer), as in a maintenance window.",
        NOTHING,
        "certd tries again when the CA asks for it in Retry-After, else after a minute, then at doubling intervals of "
        "up to six hours, without an alarm while the live certificate has time left.",
    ),
    "http:proxy-authentication": Text(
        "The proxy wants a user and a password (407).", "Give certd a `http.proxy` that lets it through."
    ),
    "http:refused": Text(
        "Something on the way refused the request with an HTTP status but without an ACME error.",
        "If it stays, check `cas.NAME.directory`, `http.proxy` and firewalls that look into HTTP.",
    ),
    "transport:connect-failed": Text(
        "No connection to the CA: refused, reset, no route, or its name was not found.",
        "If it stays, check DNS, the firewall for outgoing port 443, and `http.proxy`; JPRS also refuses connections "
        "during its announced maintenance.",
    ),
    "transport:deadline-exceeded": Text(
        "The CA did not answer in time.",
        "If it stays, check the network on the way; `http.timeout` gives the CA more time.",
    ),
    "transport:tls-failed": Text(
        "The TLS handshake with the CA failed, or its certificate is not trusted here.",
        "Check this machine's clock, update ca-certificates, and for a private CA set `cas.NAME.trust`.",
    ),
    "transport:body-too-large": Text("The CA's answer is larger than any good one.", CA_SUPPORT),
    "transport:insecure-url": Text(
        "The CA named a URL that is not https; certd does not call it.",
        "Check that `cas.NAME.directory` begins with https://; if it does, report this to the CA.",
    ),
    "transport:exchange": Text("The exchange with the CA brought no usable answer.", NOTHING),
    "protocol:broken-answer": Text(
        "The CA's answer breaks RFC 8555: it is not what this request must bring.",
        "Often a maintenance page or a proxy's page: look at `http.proxy` and the CA's news. If it stays, report it to "
        "the CA.",
    ),
    "pki:account-key": Text(
        "The account key cannot be used.",
        "Restore accounts/NAME/account.key from a backup; it must be RSA of 2048 bits or more, P-256 or P-384, "
        "unencrypted PEM.",
    ),
    "pki:key-mismatch": Text("The certificate does not belong to the key that certd made for it.", CA_SUPPORT),
    "pki:names-missing": Text("The certificate lacks a name that was ordered.", CA_SUPPORT),
    "pki:names-extra": Text("The certificate holds names that were not ordered.", CA_SUPPORT),
    "pki:expired": Text(
        "The certificate is already expired, or not valid yet.", "Check this machine's clock; else report it to the CA."
    ),
    "pki:key-unreadable": Text(
        "A private key file cannot be read as a key.",
        "Check the disk and whether something else writes below the state directory.",
    ),
    "pki:other": Text(
        "A certificate, chain or key does not pass certd's checks; the message says which.",
        "Live files stay as they are. If the CA sent it, report it to the CA with the message.",
    ),
    "challenge:not-presented": Text(
        "The response to the challenge could not be put in place or taken away.",
        "Do what the message says: create the directory, or let the user that certd runs as write to it.",
    ),
    "challenge:no-resources": Text(
        "The response to the challenge could not be put in place: no space or no free handles.",
        "Make room on the file system of the webroot (`df -h`, `df -i`).",
    ),
    "os:no-resources": Text(
        "The system is out of space, handles or memory.", "Make room on the file system of the state directory."
    ),
    "os:permission": Text(
        "The system does not permit certd what it needs.",
        "Check owner and mode of the path in the message, and SELinux denials (`ausearch -m avc -ts recent`).",
    ),
    "os:error": Text("A system call failed.", "Look at the message; check the disk and the system log."),
    "order:no-challenge": Text(
        "No configured way of proving control of a name is on offer at the CA.",
        "Set `challenge` for the name to a type that the message lists; wildcards need dns-01.",
    ),
    "order:authorization-gone": Text(
        "An authorization is expired, revoked or deactivated.", "Nothing, unless it comes again and again."
    ),
    "order:validation-failed": Text(
        "The CA could not validate a name and does not say why.",
        "Check that port 80 of the name shows the configured webroot below /.well-known/acme-challenge/.",
    ),
    "order:invalid": Text("The CA calls the order invalid and does not say why.", "Ask the CA if it comes again."),
    "state:lock-held": Text(
        "Another certd works on this state directory.", "Stop the other one; the message names its process."
    ),
    "state:unknown-schema": Text(
        "A record was written by a newer certd.", "Run that version again, or restore the state of this one."
    ),
    "state:broken-record": Text(
        "A record does not parse.", "Restore the file that the message names from a backup; certd leaves it untouched."
    ),
    "state:state": Text("The state directory cannot be used.", "Check the disk, and owner and mode of the directory."),
    "config:config": Text("The configuration cannot be used.", "Correct the lines that `certd check` names."),
    "ocsp:ocsp": Text("The OCSP answer proves nothing.", NOTHING),
    "ocsp:ocsp-unreachable": Text(
        "The OCSP responder gives no answer.",
        "If it stays, check that outgoing connections to the responder's port 80 are open.",
    ),
    "ocsp:ocsp-invalid": Text(
        "The OCSP answer does not verify.", "Check this machine's clock; else report it to the CA."
    ),
    "command:command-failed": Text(
        "A reload, start or after command failed.", "Run the command by hand and cure what its output says."
    ),
    "refused:refused": Text("The request cannot be carried out now.", "Do what the message says."),
    "bug:illegal-transition": Text("certd met a state that it does not know: a bug.", "Report it with the log lines."),
    "bug:error": Text("certd failed in a way that it does not know.", "Report it with the log lines."),
}
