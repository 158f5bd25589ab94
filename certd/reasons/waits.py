"""What is being waited for (`model.codes.Code`), and why an order is placed (`model.codes.Because`). Data only."""

from __future__ import annotations

from typing import Final

from certd.model.codes import Because, Code
from certd.reasons.words import NOTHING, NOTHING_JA, Words

WAITS: Final[dict[str, Words]] = {
    Code.NOT_DUE: Words(
        "The certificate is not due for renewal yet.", NOTHING, "まだ更新時期ではありません。", NOTHING_JA
    ),
    Code.BACK_OFF: Words(
        "The last attempt failed; the next one waits, so that the CA is not flooded.",
        "Remove the cause named by the failure; `certd renew NAME` then tries at once.",
        "前回の試行が失敗したため、CAに負荷をかけないよう間隔を空けています。",
        "失敗の原因を取り除いてください。`certd renew NAME` ですぐに再試行します。",
    ),
    Code.HELD_BY_OPERATOR: Words(
        "You rolled this certificate back; until the hold ends nothing is ordered or activated for it.",
        "When the new certificate is wanted after all: `certd renew NAME`.",
        "ロールバック後の保留中です。保留が終わるまで、この証明書のオーダーも有効化も行いません。",
        "新しい証明書が必要になったら `certd renew NAME` を実行してください。",
    ),
    Code.CA_HELD: Words(
        "The CA asked for a pause: a rate limit or maintenance.",
        "Nothing, unless it lasts for days: then ask the CA about its limits or maintenance.",
        "CAから待機を求められています(レート制限またはメンテナンス)。",
        "通常は対応不要です。数日続く場合はCAに制限やメンテナンスを確認してください。",
    ),
    Code.CA_UNUSABLE: Words(
        "The account on this CA cannot be used.",
        "See the problem reported for the CA; orders go on by themselves once the account works.",
        "このCAのアカウントを使用できません。",
        "CAについて表示されている問題を解決してください。アカウントが使えるようになれば自動で再開します。",
    ),
    Code.CA_BUDGET: Words(
        "The CA's budget for orders is used up for now, or more urgent certificates go first.",
        "Nothing, unless it lasts: then raise `cas.NAME.limits` as far as the CA allows.",
        "CAへのオーダー枠が現在埋まっているか、より緊急の証明書を優先しています。",
        "通常は対応不要です。続く場合は、CAが認める範囲で `cas.NAME.limits` を増やしてください。",
    ),
    Code.ACCOUNT_PENDING: Words(
        "The account on the CA is not registered yet.",
        "See the CA's state; orders begin by themselves once it is registered.",
        "CAのアカウントがまだ登録されていません。",
        "CAの状態を確認してください。登録が済めばオーダーは自動で始まります。",
    ),
    Code.DAILY_CEILING: Words(
        "As many orders as `orders_per_day` allows were placed for this certificate within 24 hours.",
        "Find out why so many orders came to nothing before raising `limits.orders_per_day`.",
        "この証明書の24時間以内のオーダー数が `orders_per_day` の上限に達しました。",
        "`limits.orders_per_day` を増やす前に、オーダーが繰り返し失敗した原因を調べてください。",
    ),
    Code.CLOCK_UNSURE: Words(
        "The system clock cannot be trusted at the moment: it jumped, or it disagrees with the CA's.",
        "Check time synchronisation (`chronyc tracking`); certd goes on once a CA's clock agrees.",
        "システム時計を信頼できません(時刻が急に変わったか、CAの時刻と一致しません)。",
        "時刻同期を確認してください(`chronyc tracking`)。CAの時刻と一致すれば自動で再開します。",
    ),
    Code.CA_PROCESSING: Words("The CA is issuing the certificate.", NOTHING, "CAが証明書を発行中です。", NOTHING_JA),
    Code.CA_VALIDATING: Words(
        "The CA is checking control of the domains.", NOTHING, "CAがドメイン名の管理権限を審査中です。", NOTHING_JA
    ),
    Code.CHALLENGE_SETTLING: Words(
        "The responses to the challenges are not published everywhere yet.",
        "Nothing, unless it lasts for an hour: then check the DNS servers of the domain.",
        "チャレンジの応答がまだ行き渡っていません。",
        "通常は対応不要です。1時間以上続く場合は、ドメインのDNSサーバーを確認してください。",
    ),
    Code.OCSP_DELAY: Words(
        "The new certificate is issued; the CA's OCSP responders are given time to learn of it, "
        "and the old one is served meanwhile.",
        "Nothing; `certd renew NAME --now` activates it at once if that is needed.",
        "新しい証明書は発行済みです。OCSPレスポンダーに反映されるまで、古い証明書で運用を続けます。",
        "対応は不要です。すぐに有効化する必要がある場合は `certd renew NAME --now` を実行してください。",
    ),
    Code.OCSP_UNKNOWN: Words(
        "The CA's OCSP responder does not know the new certificate yet; the old one is served meanwhile.",
        "Nothing; at the deadline it is activated all the same. If this happens often, raise `ocsp.propagation_delay`.",
        "OCSPレスポンダーが新しい証明書をまだ認識していません。その間は古い証明書で運用を続けます。",
        "対応は不要です。期限になれば有効化します。頻発する場合は `ocsp.propagation_delay` を延ばしてください。",
    ),
    Code.OCSP_UNREACHABLE: Words(
        "The CA's OCSP responder does not answer.",
        "Check that this host may reach the responder's URL by http (firewall, proxy). "
        "At the deadline the certificate is activated all the same.",
        "CAのOCSPレスポンダーが応答しません。",
        "このホストからレスポンダーのURLへHTTPで接続できるか(ファイアウォール、プロキシ)を確認してください。"
        "期限になれば有効化します。",
    ),
    Code.OCSP_INVALID: Words(
        "The OCSP responder's answer cannot be verified.",
        "Check the clock, and for a proxy that answers in the responder's place; if it lasts, report it to the CA.",
        "OCSPレスポンダーの応答を検証できません。",
        "途中のプロキシが代わりに応答していないか、時刻が正しいかを確認してください。続く場合はCAに連絡してください。",
    ),
    Code.SERVER: Words(
        "The certificate waits for its server: to be swapped in with the next batch, or to be confirmed.",
        "Nothing, unless a problem is reported for the server.",
        "サーバーを待っています(次の一括切り替え、または読み込みの確認)。",
        "サーバーについて問題が表示されていなければ、対応は不要です。",
    ),
    Code.SET_REJECTED: Words(
        "The server does not work with this set of files; the previous set is served.",
        "Look at the server's error log for this certificate, correct it, then `certd renew NAME`.",
        "この証明書ファイル一式ではサーバーが動作しないため、前の証明書で運用しています。",
        "サーバーのエラーログを確認して原因を直し、`certd renew NAME` を実行してください。",
    ),
    Code.NOTHING_OWED: Words(
        "The server has loaded everything it has to.",
        NOTHING,
        "サーバーは必要なものをすべて読み込み済みです。",
        NOTHING_JA,
    ),
    Code.RELOAD_BACK_OFF: Words(
        "The last reload failed; the next one waits.",
        "See the failure of the server; it is tried again by itself.",
        "前回のリロードが失敗したため、次の試行まで待機しています。",
        "サーバーの失敗内容を確認してください。再試行は自動で行われます。",
    ),
    Code.RELOAD_INTERVAL: Words(
        "The server was reloaded a moment ago; `limits.reload_min_interval` keeps reloads apart.",
        NOTHING,
        "直前にリロードしたため、`limits.reload_min_interval` の間隔を空けています。",
        NOTHING_JA,
    ),
    Code.SERVER_LOADING: Words(
        "The server is loading its configuration.", NOTHING, "サーバーが設定を読み込み中です。", NOTHING_JA
    ),
    Code.SERVER_STOPPED: Words(
        "The server is stopped; the new files are in place for its next start.",
        "Start the server when you want it to run; certd does not start what was stopped on purpose.",
        "サーバーは停止しています。新しいファイルは次回の起動に備えて配置済みです。",
        "必要であればサーバーを起動してください。意図的に停止されたサーバーをcertdは起動しません。",
    ),
    Code.GATES_CLOSED: Words(
        "New certificates for this server wait for their OCSP gate, or for each other.",
        NOTHING,
        "このサーバーの新しい証明書は、OCSPの待機中か、まとめて切り替えるための待ち合わせ中です。",
        NOTHING_JA,
    ),
    Code.REGISTERED: Words(
        "The account is registered and in order.", NOTHING, "アカウントは登録済みで正常です。", NOTHING_JA
    ),
    Code.ACCOUNT_REFUSED: Words(
        "The CA refused to register the account.",
        "Check `cas.NAME`: the EAB credentials (with JPRS they are valid for 14 days), the contacts, the agreement; "
        "a changed configuration is tried at once.",
        "CAがアカウント登録を拒否しました。",
        "`cas.NAME` のEAB認証情報(JPRSでは有効期間14日)、連絡先、規約への同意を確認してください。"
        "設定を変更するとすぐに再試行します。",
    ),
    Code.RECORD_BROKEN: Words(
        "The record in the state directory cannot be read; nothing is done for this entry until it can.",
        "Look at the file named in the problem; restore it from a backup, or see docs/STATE.md.",
        "状態ディレクトリの記録を読み取れません。読めるようになるまで何も行いません。",
        "表示されたファイルを確認し、バックアップから復元するか、docs/STATE.mdを参照してください。",
    ),
}

BECAUSE: Final[dict[str, Words]] = {
    Because.NO_LIVE_CERTIFICATE: Words(
        "There is no live certificate.",
        "See the failure of this certificate; certd goes on ordering by itself.",
        "有効な証明書がありません。",
        "この証明書の失敗内容を確認してください。オーダーは自動で続けます。",
    ),
    Because.NAMES_CHANGED: Words(
        "The configuration asks for other names than the certificate has.",
        NOTHING,
        "設定のドメイン名が証明書と異なります。",
        NOTHING_JA,
    ),
    Because.KEY_TYPE_CHANGED: Words(
        "The configuration asks for another type of key than the certificate has.",
        NOTHING,
        "設定の鍵の種類が証明書と異なります。",
        NOTHING_JA,
    ),
    Because.REVOKED: Words(
        "The CA's OCSP responder calls the certificate revoked.",
        "Ask the CA why; certd orders a new one with a new key by itself.",
        "CAのOCSPレスポンダーがこの証明書を失効済みと応答しました。",
        "理由をCAに確認してください。新しい鍵での再発行はcertdが自動で行います。",
    ),
    Because.REQUESTED: Words(
        "You asked for it with `certd renew`.", NOTHING, "`certd renew` で要求されました。", NOTHING_JA
    ),
    Because.RENEWAL_TIME: Words("Its renewal time has come.", NOTHING, "更新時期になりました。", NOTHING_JA),
    Because.ROLLBACK: Words(
        "You went back to this version with `certd rollback`.",
        "When the newer certificate is wanted after all: `certd renew NAME`.",
        "`certd rollback` でこのバージョンに戻しました。",
        "新しい証明書が必要になったら `certd renew NAME` を実行してください。",
    ),
}
