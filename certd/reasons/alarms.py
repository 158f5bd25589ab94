"""The problems that only health speaks of: what it sees in certificates, servers, CAs and the daemon. Data only."""

from __future__ import annotations

from typing import Final

from certd.reasons.words import Words

ALARMS: Final[dict[str, Words]] = {
    "no-certificates": Words(
        "No certificate is under management.",
        "Add entries under `certificates` and reload certd.",
        "管理対象の証明書がありません。",
        "`certificates` に設定を追加し、certdをリロードしてください。",
    ),
    "expiring": Words(
        "The live certificate expires soon and has not been renewed.",
        "See its failure for what keeps the renewal; once that is removed, `certd renew NAME` tries at once.",
        "更新されないまま、証明書の有効期限が近づいています。",
        "更新を妨げている失敗内容を確認してください。解消後、`certd renew NAME` ですぐに再試行します。",
    ),
    "placeholder-served": Words(
        "The server has only the self-signed placeholder for this certificate.",
        "See the failure of this certificate; the first real one replaces the placeholder by itself.",
        "この証明書は仮の自己署名証明書のままです。",
        "失敗内容を確認してください。最初の証明書が発行されると自動で置き換わります。",
    ),
    "served-differs": Words(
        "The server serves another certificate than the live one.",
        "Check that the virtual host names the files below live/, and that no proxy in front of it has its own.",
        "サーバーが有効化済みのものとは別の証明書を使っています。",
        "バーチャルホストがlive/以下のファイルを参照しているか、前段のプロキシが独自の証明書を持っていないかを"
        "確認してください。",
    ),
    "unconfirmed": Words(
        "The new files are in place, but no handshake has shown them yet.",
        "See the problem of the server; certd keeps trying.",
        "新しいファイルは配置済みですが、使用されていることをまだ確認できていません。",
        "サーバーの問題を確認してください。確認は自動で続けます。",
    ),
    "held": Words(
        "A roll-back holds this certificate: nothing is ordered or activated for it until the hold ends.",
        "When the new certificate is wanted after all: `certd renew NAME`.",
        "ロールバックにより保留中です。保留が終わるまでオーダーも有効化も行いません。",
        "新しい証明書が必要になったら `certd renew NAME` を実行してください。",
    ),
    "unmanaged": Words(
        "These files are kept, but the configuration no longer names them; nothing renews them.",
        "If they are not used any more, `certd forget NAME` deletes them; else configure them again.",
        "ファイルは残っていますが設定に無いため、更新されません。",
        "不要であれば `certd forget NAME` で削除し、必要であれば再び設定してください。",
    ),
    "config-error": Words(
        "The configuration file has errors; certd goes on with the one it loaded before.",
        "Correct the lines that `certd check` names, then `systemctl reload certd`.",
        "設定ファイルに誤りがあるため、前回読み込んだ設定で動作しています。",
        "`certd check` が示す行を修正し、`systemctl reload certd` を実行してください。",
    ),
    "record-unsaved": Words(
        "certd cannot write its record in the state directory; nothing more is done for this entry until it can.",
        "See the text: free some space, or mend the file system or its permissions; certd then goes on by itself.",
        "状態ディレクトリに記録を書き込めません。書き込めるようになるまで、この項目の処理は止まります。",
        "表示された原因(空き容量、ファイルシステム、権限)を解消してください。その後は自動で続行します。",
    ),
    "notify-failed": Words(
        "Alarms cannot be delivered to a command or webhook of `notify`; they are kept and tried again.",
        "Run the command by hand, or check the webhook's URL and its service; correct `notify` and reload certd.",
        "`notify` のコマンドまたはWebhookに通知を届けられません。通知は保存され、再送されます。",
        "コマンドを手動で実行するか、WebhookのURLと受信側を確認し、`notify` を修正してcertdをリロードしてください。",
    ),
    "account-unusable": Words(
        "The CA no longer accepts the account.",
        "Get new EAB credentials from the reseller, put them into `cas.NAME.eab` and reload certd; "
        "or restore accounts/ from a backup.",
        "CAがアカウントを受け付けなくなりました。",
        "指定事業者から新しいEAB認証情報を取得して `cas.NAME.eab` に設定し、certdをリロードするか、"
        "accounts/をバックアップから復元してください。",
    ),
    "eab-expiring": Words(
        "The EAB credentials expire soon, and the account is not registered yet.",
        "See what keeps the registration: reachability of the CA, or its answer.",
        "EAB認証情報の期限が近づいていますが、アカウントがまだ登録されていません。",
        "登録を妨げている原因(CAへの到達性、CAの応答)を確認してください。",
    ),
    "eab-expired": Words(
        "The EAB credentials are older than 14 days and were not used; the CA will refuse them.",
        "Get new ones from the reseller, put them into `cas.NAME.eab` and reload certd.",
        "EAB認証情報が登録前に14日の期限を過ぎました。CAに拒否されます。",
        "指定事業者から新しい認証情報を取得して `cas.NAME.eab` に設定し、certdをリロードしてください。",
    ),
}
