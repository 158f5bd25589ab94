"""What happens next to a certificate, when and why, in one or two sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from certd.model.codes import Code
from certd.status.prose import Lang, moment, text_of

if TYPE_CHECKING:
    from datetime import datetime

    from certd.status.shape import CertificateState

_WAITS: Final[dict[str, tuple[str, str]]] = {
    Code.NOT_DUE: ("Renewal begins {when}.", "更新開始予定: {when}。"),
    Code.BACK_OFF: ("The next attempt is {when}.", "次の試行: {when}。"),
    Code.HELD_BY_OPERATOR: ("The hold ends {when}.", "保留の終了: {when}。"),
    Code.CA_HELD: ("Ordering goes on {when}.", "オーダーの再開: {when}。"),
    Code.DAILY_CEILING: ("The next order may be placed {when}.", "次にオーダーできる時刻: {when}。"),
    Code.CA_PROCESSING: ("The order is read again {when}.", "発行状況の次の確認: {when}。"),
    Code.CA_VALIDATING: ("The order is read again {when}.", "審査状況の次の確認: {when}。"),
    Code.CHALLENGE_SETTLING: ("The responses are looked for again {when}.", "応答の次の確認: {when}。"),
    Code.OCSP_DELAY: ("Activation is due {when}.", "有効化予定: {when}。"),
    Code.OCSP_UNKNOWN: ("The responder is asked again {when}.", "OCSPの次の確認: {when}。"),
    Code.OCSP_UNREACHABLE: ("The responder is asked again {when}.", "OCSPの次の確認: {when}。"),
    Code.OCSP_INVALID: ("The responder is asked again {when}.", "OCSPの次の確認: {when}。"),
    Code.SET_REJECTED: ("It is tried again {when}.", "再試行: {when}。"),
}
_ANY_WAIT: Final = ("This is looked at again {when}.", "次の確認: {when}。")
_GATED: Final = frozenset({Code.OCSP_UNKNOWN, Code.OCSP_UNREACHABLE, Code.OCSP_INVALID})

_ACTIONS: Final[dict[str, tuple[str, str]]] = {
    "place-order": ("A certificate is ordered now.", "証明書をオーダーします。"),
    "read-order": ("The order is read now.", "オーダーの状態を確認します。"),
    "present-challenges": ("The responses to the challenges are put in place now.", "チャレンジの応答を配置します。"),
    "respond-to-challenges": ("The CA is asked to validate now.", "CAに審査を依頼します。"),
    "finalize-order": ("The certificate request is sent now.", "証明書署名要求を送信します。"),
    "download-certificate": ("The certificate is downloaded now.", "証明書を取得します。"),
    "confirm-status": ("The CA's OCSP responder is asked now.", "OCSPレスポンダーに確認します。"),
    "check-revocation": ("The live certificate's revocation is checked now.", "失効の有無を確認します。"),
    "probe-served": ("A handshake shows now what is served.", "使用中の証明書を確認します。"),
    "ask-parked": ("An earlier order is asked about now.", "保持しているオーダーを確認します。"),
    "park": ("The order is set aside now; it is kept.", "オーダーを保持したまま、後回しにします。"),
    "drop-order": ("The order is dropped now.", "オーダーを破棄します。"),
    "end-order": ("The order came to nothing; that is recorded now.", "失敗したオーダーを記録します。"),
    "abandon": ("The new certificate is given up now.", "新しい証明書の使用を中止します。"),
    "clean-up": ("The responses to the challenges are removed now.", "チャレンジの応答を片付けます。"),
}
_ANY_ACTION: Final = ("Work on it goes on now.", "処理を続行します。")
_UNMANAGED: Final = (
    "Nothing: the configuration no longer names it. `certd forget {name}` deletes it.",
    "設定に無いため何も行いません。`certd forget {name}` で削除できます。",
)


def explain_next(certificate: CertificateState, now: datetime, lang: Lang = "en") -> str:
    """What happens next, when and why."""
    ja = lang == "ja"
    if not certificate.managed:
        return _UNMANAGED[ja].format(name=certificate.name)
    if certificate.next_at is None:
        return text_of(Code.RECORD_BROKEN, lang)
    why = text_of(certificate.reason or "", lang)
    if certificate.waiting is None:
        said = _ACTIONS.get(certificate.next_action or "", _ANY_ACTION)[ja]
        return _joined(said, why, lang)
    code = certificate.waiting.code
    said = _WAITS.get(code, _ANY_WAIT)[ja].format(when=moment(certificate.next_at, now, lang))
    if code in _GATED and certificate.staged is not None:
        limit = moment(certificate.staged.deadline, now, lang)
        said = _joined(said, f"遅くとも{limit}に有効化します。" if ja else f"It goes live at the latest {limit}.", lang)
    # That something is not due needs no second sentence.
    return said if code == Code.NOT_DUE else _joined(said, text_of(code, lang), lang)


def _joined(first: str, second: str, lang: Lang) -> str:
    return " ".join(part for part in (first, second) if part) if lang == "en" else first + second
