"""What certd's own failures mean (what a CA answers is in `certd.acme.problems`). Data only."""

from __future__ import annotations

from typing import Final

from certd.reasons.words import NOTHING, NOTHING_JA, Words

_CA = "Report this to the CA with the log lines; certd tries again by itself."
_CA_JA = "ログを添えてCAに連絡してください。再試行は自動です。"
_SERVER_LOG = "Look at the server's error log and check its configuration (`httpd -t`); certd tries again by itself."
_SERVER_LOG_JA = "サーバーのエラーログと設定(`httpd -t`)を確認してください。再試行は自動です。"

DEPLOYMENT: Final[dict[str, Words]] = {
    "server-down": Words(
        "The server went down with the new files; the old ones were put back.",
        _SERVER_LOG,
        "新しいファイルでサーバーが停止したため、元のファイルに戻しました。",
        _SERVER_LOG_JA,
    ),
    "server-config-broken": Words(
        "The server refuses its configuration with the old files as well; the reload is owed.",
        "Correct the server's configuration (`httpd -t` shows what is wrong); certd then reloads it by itself.",
        "元のファイルでもサーバーが設定を受け付けません。リロードは保留中です。",
        "サーバーの設定を修正してください(`httpd -t` で確認できます)。修正後のリロードは自動で行われます。",
    ),
    "reload-refused": Words(
        "The server refused to reload with the new files; the old ones were put back.",
        _SERVER_LOG,
        "新しいファイルでのリロードをサーバーが拒否したため、元のファイルに戻しました。",
        _SERVER_LOG_JA,
    ),
    "reload-denied": Words(
        "certd's user is not allowed to reload or start the server.",
        "Let polkit allow it: `certd polkit-rule | install -m 0644 /dev/stdin /etc/polkit-1/rules.d/49-certd.rules`, "
        "and see that polkit is installed and runs; then `certd renew NAME`, or wait: certd tries again by itself.",
        "certdの実行ユーザーにはサーバーのリロードや起動の権限がありません。",
        "polkitで許可してください: `certd polkit-rule | install -m 0644 /dev/stdin /etc/polkit-1/rules.d/"
        "49-certd.rules`。polkitが導入され動作していることも確認してください。その後 `certd renew NAME` を実行するか、"
        "自動の再試行を待ちます。",
    ),
    "reload-ineffective": Words(
        "The reload reported success, but the old certificate is still served.",
        "Check that the virtual host names the files below live/, and that `verify.connect` points to this server.",
        "リロードは成功と報告されましたが、まだ古い証明書が使われています。",
        "バーチャルホストがlive/以下のファイルを参照しているか、`verify.connect` がこのサーバーを指しているかを"
        "確認してください。",
    ),
    "reload-owed": Words(
        "The server has not loaded the newest files yet.",
        "Nothing, unless another problem of this server says what stops it.",
        "サーバーはまだ最新のファイルを読み込んでいません。",
        "このサーバーに別の問題が表示されていなければ、対応は不要です。",
    ),
    "rollback-failed": Words(
        "The new files did harm, and the server did not come back with the old ones.",
        "The server may be down: look at its error log and start it by hand now.",
        "新しいファイルで障害が起き、元に戻してもサーバーが復旧しません。",
        "サーバーが停止している可能性があります。今すぐエラーログを確認し、手動で起動してください。",
    ),
    "not-served": Words(
        "The server has no virtual host for this certificate yet, so nothing serves it.",
        "Include live/NAME/apache.conf in the virtual host, or set `verify: false` if it is meant to be so.",
        "この証明書を使うバーチャルホストがまだありません。",
        "バーチャルホストでlive/NAME/apache.confをIncludeしてください。意図的であれば `verify: false` を設定します。",
    ),
    "after-failed": Words(
        "A command configured under `after` failed; the certificate is live all the same.",
        "Run the command by hand and correct what it reports; certd tries it again.",
        "`after` に設定されたコマンドが失敗しました。証明書自体は有効化されています。",
        "コマンドを手動で実行して原因を直してください。certdも再試行します。",
    ),
}

ORDER: Final[dict[str, Words]] = {
    "no-answer": Words(
        "certd was interrupted while it placed an order; whether the CA has it is not known.",
        NOTHING,
        "オーダーの作成中に中断したため、CAに届いたかどうかが不明です。",
        NOTHING_JA,
    ),
    "order-too-old": Words(
        "The order did not become ready within a day and was dropped.",
        "If it comes back, ask the CA what keeps its validation.",
        "オーダーが1日以内に発行可能な状態にならなかったため、破棄しました。",
        "繰り返す場合は、審査が進まない理由をCAに確認してください。",
    ),
    "order-taken": Words(
        "The order was finalized by somebody else: a CA may give one order to two certificates with the same names.",
        NOTHING,
        "オーダーがほかで使用されました。CAは同じドメイン名を持つ2つの証明書に1つのオーダーを渡すことがあります。",
        NOTHING_JA,
    ),
    "parked": Words(
        "The CA did not issue in time. The order is kept and asked about daily; a new one may be placed.",
        _CA,
        "CAが時間内に発行しませんでした。オーダーは保持して毎日確認し、必要に応じて新しいオーダーも作成します。",
        _CA_JA,
    ),
    "self-check": Words(
        "certd does not see its own response to the challenge; the CA may not see it either.",
        "Open http://DOMAIN/.well-known/acme-challenge/ from outside: the webroot, rewrites and the firewall decide.",
        "チャレンジの応答をcertd自身が確認できません。CAからも見えない可能性があります。",
        "外部から http://DOMAIN/.well-known/acme-challenge/ を開き、webroot、リライト、ファイアウォールを"
        "確認してください。",
    ),
}

SETS: Final[dict[str, Words]] = {
    "revoked": Words(
        "The CA's OCSP responder calls the certificate revoked.",
        "Ask the CA why; certd orders a new one with a new key by itself.",
        "CAのOCSPレスポンダーがこの証明書を失効済みと応答しました。",
        "理由をCAに確認してください。新しい鍵での再発行はcertdが自動で行います。",
    ),
    "expired": Words(
        "The certificate has expired.",
        "See its failure for what keeps the renewal; once that is removed, `certd renew NAME` tries at once.",
        "証明書の有効期限が切れています。",
        "更新を妨げている失敗内容を確認してください。解消後、`certd renew NAME` ですぐに再試行します。",
    ),
    "set-broken": Words(
        "Files of a new certificate were removed or changed before it went live; a new one is ordered.",
        "Find out what works below the state directory besides certd: a clean-up job, a restored backup.",
        "新しい証明書のファイルが有効化の前に削除または変更されました。新しい証明書を発行します。",
        "状態ディレクトリを操作しているcertd以外のもの(クリーンアップ、バックアップの復元など)を確認してください。",
    ),
    "names-changed": Words(
        "The configuration asks for other names, key or CA than the order was for.",
        NOTHING,
        "設定のドメイン名・鍵・CAがオーダーの作成時と異なります。",
        NOTHING_JA,
    ),
}

DISK: Final[dict[str, Words]] = {
    "state": Words(
        "The state directory, or a part of it, cannot be read or written.",
        "See the text: free some space, or mend the file system or its permissions; certd then goes on by itself.",
        "状態ディレクトリまたはその一部を読み書きできません。",
        "表示された原因(空き容量、ファイルシステム、権限)を解消してください。その後は自動で続行します。",
    ),
    "broken-record": Words(
        "A file below the state directory is broken or missing; nothing was overwritten.",
        "The text names the file; docs/STATE.md says what to do ('When something is broken').",
        "状態ディレクトリ以下のファイルが壊れているか、見つかりません。上書きはしていません。",
        "表示されたファイルについて、docs/STATE.mdの 'When something is broken' に従ってください。",
    ),
}

FAILURES: Final[dict[str, Words]] = {**DEPLOYMENT, **ORDER, **SETS, **DISK}
