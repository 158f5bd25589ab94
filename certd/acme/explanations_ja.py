"""What each code of `certd.acme.problems` means and what helps, in Japanese. Data only; see `explanations_en`."""

from __future__ import annotations

from typing import Final

from certd.acme.explanations_en import Text
from certd.model.codes import Kind

BY_KIND: Final = {
    Kind.VALIDATION: "certdは1分、10分、100分後に、その後は1日1回、新しいオーダーを作成します。3回続けて失敗するとアラ"
    "ートを出します。",
    Kind.TRANSIENT: "certdは1分後に再試行し、その後は間隔を倍々に延ばします(最長6時間)。アラートを出すのは、証明書の残"
    "り期間が少なくなった場合だけです。",
    Kind.RATE_LIMITED: "certdはCAがRetry-Afterで指定した時間(1分以上7日以内)待ちます。指定がなければ1分後に再試行し、"
    "間隔を倍々に延ばします(最長6時間)。アカウント全体の制限であれば、そのCAへのオーダーをすべて待たせます。",
    Kind.OPERATOR: "certdは直ちにアラートを出し、1日1回再試行します。`certd renew NAME` ですぐに再試行します。",
    Kind.ACCOUNT: "certdは直ちにアラートを出し、10分後に再確認します。結果が同じであればこのCAへのオーダーを止め、その"
    "後は6時間ごとに確認します。",
    Kind.BUG: "certdは送信した要求を秘密情報を除いてログに記録し、直ちにアラートを出し、1日1回再試行します。",
    Kind.NEW_ORDER: "certdはこのオーダーを破棄し、1分後に(続く場合は間隔を倍々に延ばし、最長6時間)新しいオーダーを作成"
    "します。試行回数に数えます。",
    Kind.POLL: "certdは5秒後にオーダーと認可を読み直し、実際の状態から続行します。5回続けて同じ結果であれば、オーダー"
    "を破棄して新しいオーダーを作成します。",
    Kind.SUCCESS: "certdはこれを完了とみなします。",
}

NOTHING: Final = "対応は不要です。数時間続く場合は、CAのメンテナンス情報を確認してください。"
REGISTRATION: Final = (
    "certdは直ちにアラートを出し、1日1回再試行します。設定を変更してリロードすると、すぐに再試行します。"
)
ONCE: Final = "certdはこの要求を再試行しません。"
CA_SUPPORT: Final = "このオーダーのログを添えてCAに連絡してください。このホスト側の問題ではありません。"
WEBROOT: Final = (
    "そのドメイン名のポート80で /.well-known/acme-challenge/ 以下に設定済みのwebrootが見えることを確認してください。"
    "リライト、アクセス制限、別のバーチャルホスト、同じドメイン名の別サーバーに注意してください。"
)
RARELY: Final = "対応は不要です。繰り返す場合のみ調査してください。"

TEXTS: Final[dict[str, Text]] = {
    "acme:account-does-not-exist": Text(
        "指定されたアカウントがCAに存在しません。",
        "アカウントがCA側で削除された場合は、未使用のEAB認証情報を `cas.NAME.eab` に設定してcertdをリロードして"
        "ください(JPRSでは指定事業者が再発行します)。accounts/ を復元した場合は最新のバックアップか確認してください。",
        "certdは直ちにアラートを出し、10分後に再確認します。結果が同じであればこのCAへのオーダーを止めます。再登録する"
        "のは、使えるEAB認証情報が設定されている場合だけです。",
    ),
    "acme:already-revoked": Text("失効対象の証明書は既に失効されています。", "対応は不要です。既に失効済みです。"),
    "acme:bad-csr": Text(
        "CSRがCAに受け付けられません。鍵長が短すぎるか、CAが扱わない種類の鍵です。",
        "送信した鍵の種類はメッセージにあります。証明書の `key` をCAが受け付ける種類にしてください。JPRSではrsa2048で"
        "す。",
    ),
    "acme:bad-nonce": Text(
        "CAがノンスを続けて拒否しました。",
        NOTHING,
        "certdはエラーとともに届いたノンスで直ちに再送します。20回続けて拒否された場合だけ失敗とし、1分後から再試行し"
        "ます。",
    ),
    "acme:bad-public-key": Text(
        "アカウント公開鍵の種類がCAに受け付けられません。",
        "`cas` に別の名前でこのCAを設定し、`account_key` を別の種類(rsa2048、p256、p384)にして新しいアカウント鍵を作成"
        "してください。新しいEAB認証情報が必要になることがあります。",
    ),
    "acme:bad-revocation-reason": Text(
        "送信した失効理由はCAで許可されていません。",
        "unspecified、keyCompromise、superseded、cessationOfOperationのいずれかで再度失効してください。",
        ONCE,
    ),
    "acme:bad-signature-algorithm": Text(
        "アカウント鍵の署名アルゴリズムをCAがサポートしていません。",
        "`cas` に別の名前でこのCAを設定し、CAがメッセージに挙げたアルゴリズムに合う `account_key` を選んでください。"
        "rsa2048はRS256、p256はES256、p384はES384です。",
    ),
    "acme:caa": Text(
        "CAAレコードにより、このCAによる証明書の発行が許可されていません。",
        'ドメインまたはその親にCAAレコードを追加してください。JPRSの場合: `example.jp. CAA 0 issue "jprs.jp"`。'
        "certdが見つけたレコードはエラーの本文にあります。現在のレコードは `dig CAA NAME` で確認できます。",
    ),
    "acme:connection": Text(
        "CAが審査対象のサーバーに接続できませんでした。",
        "ドメイン名のAレコードとAAAAレコードがこのサーバーを指し、ポート80がインターネット全体に開いていることを確認し"
        "てください(ファイアウォール、負荷分散装置、IPv6)。",
        "certdは1分、10分、100分後に、その後は1日1回、新しいオーダーを作成します。3回続けて失敗するとアラートを出しま"
        "す。",
    ),
    "acme:dns": Text(
        "CAによるドメイン名のDNS問い合わせが失敗しました。",
        "ドメインの全ネームサーバーが(TCPでも)応答し、DNSSECの署名が有効であることを確認してください。",
        "certdは1分、10分、100分後に、その後は1日1回、新しいオーダーを作成します。3回続けて失敗するとアラートを出しま"
        "す。",
    ),
    "acme:tls": Text(
        "審査中にCA側でTLSのエラーが発生しました。",
        "httpからhttpsへリダイレクトしている場合、転送先のTLS設定が正しいことを確認してください。",
        "certdは1分、10分、100分後に、その後は1日1回、新しいオーダーを作成します。3回続けて失敗するとアラートを出しま"
        "す。",
    ),
    "acme:incorrect-response": Text("チャレンジへの応答が、CAの期待したものと異なります。", WEBROOT),
    "acme:unauthorized": Text("CAの審査で、応答が見つからないか、誤っていました。", WEBROOT),
    "acme:account-status": Text(
        "ACMEアカウントのステータスが不正で、CAに受け付けられません。",
        "アカウントの状態をCA(JPRSでは指定事業者)に確認してください。無効であれば新しいEAB認証情報を "
        "`cas.NAME.eab` に設定し、certdをリロードしてください。",
    ),
    "acme:registration-refused": Text(
        "CAがアカウントの登録を拒否しました。",
        "`cas.NAME.eab` のMAC鍵識別子とMAC鍵、未使用かどうか、有効期限(JPRSでは発行から14日)を確認してください。",
        REGISTRATION,
    ),
    "acme:external-account-required": Text(
        "このCAのアカウント登録にはEAB認証情報が必要です。",
        "CAまたは指定事業者から受け取ったMAC鍵識別子とMAC鍵を `cas.NAME.eab` に設定してください。",
        REGISTRATION,
    ),
    "acme:invalid-contact": Text(
        "コンタクトのURLの形式が不正です。",
        "`cas.NAME.contact` を修正してください。mailto: や表示名を付けず、メールアドレスだけを書きます。",
        REGISTRATION,
    ),
    "acme:unsupported-contact": Text(
        "コンタクトURLのスキームをCAがサポートしていません。",
        "`cas.NAME.contact` にはメールアドレスだけを書いてください。",
        REGISTRATION,
    ),
    "acme:unsupported-identifier": Text(
        "CAがサポートしていない種類の識別子(IPアドレスなど)です。",
        "メッセージにある識別子を `domains` から除くか、対応するCAを選んでください。",
    ),
    "acme:rejected-identifier": Text(
        "対象の識別子に対してCAは証明書を発行しません。",
        "ドメイン名のつづりを確認し、JPRSの場合はFQDNが指定事業者に登録されているか確認してください。",
    ),
    "acme:malformed": Text(
        "CAが要求を不正と判断しました(必須項目の不足または形式の誤り)。",
        "ログを添えてcertdの開発元に報告してください。certdの更新で直ることもあります。",
    ),
    "acme:order-not-ready": Text(
        "finalizeの準備ができていないオーダーにfinalizeを送りました。", "対応は不要です。次の確認で先へ進みます。"
    ),
    "acme:rate-limited": Text(
        "CAの要求数または発行数の制限に達しました。",
        "制限が解けるまでお待ちください。繰り返す場合は `cas.NAME.limits` を下げるか、複数のドメイン名を1枚の証明書に"
        "まとめてください。",
    ),
    "acme:server-internal": Text(
        "CAのサーバーで内部エラーが発生しました。",
        NOTHING,
        "certdは1分後に再試行し、その後は間隔を倍々に延ばします(最長6時間)。使用中の証明書に余裕がある間はアラートを出"
        "しません。",
    ),
    "acme:user-action-required": Text(
        "CAが利用者の操作(新しい規約への同意など)を求めています。",
        "メッセージにあるページを開いて指示に従い、その後 `certd renew NAME` を実行してください。",
    ),
    "acme:compound": Text(
        "CAが複数のエラーをまとめて報告しました。",
        "メッセージにある個々のエラーを確認し、最初のものから対処してください。",
    ),
    "acme:already-replaced": Text(
        "置き換え元に指定した証明書は、CAで既に置き換え済みです。",
        "対応は不要です。次のオーダーでは指定しません。",
        "certdは置き換え元を指定しない新しいオーダーを作成します。",
    ),
    "acme:invalid-profile": Text(
        "指定した証明書プロファイルはCAにありません。",
        "CAのディレクトリにあるプロファイルを選ぶか、指定を外してください。",
    ),
    "acme:unknown": Text(
        "certdにとって未知のエラーでCAが要求を拒否しました。",
        "CAのメッセージを読み、解決しなければCAのサポートに問い合わせてください。",
    ),
    "jprs:eab-invalid": Text(
        "EABアカウント(認証情報)が不正で、アカウントを作成できません。",
        "JPRSのEAB認証情報は発行から14日間有効で、1回の登録で使用済みになります。指定事業者に再発行を依頼し、"
        "`cas.NAME.eab` に設定してcertdをリロードしてください。",
        REGISTRATION,
    ),
    "jprs:contact-invalid": Text(
        "コンタクトメールアドレスが0件または7件以上、あるいは重複しています。",
        "`cas.NAME.contact` に重複のない1から6件のメールアドレスを設定してください。`certd check` が警告します。",
        REGISTRATION,
    ),
    "jprs:terms-not-agreed": Text(
        "利用規約に同意していません。",
        "certdが登録時にログに出すURLの規約を読み、`cas.NAME.terms_of_service_agreed: true` を設定してください。",
        REGISTRATION,
    ),
    "jprs:fqdn-invalid": Text(
        "発行できないFQDNが含まれています。",
        "メッセージにあるFQDNを修正するか、`domains` から除いてください。内部名や公開サフィックスには発行されません。",
    ),
    "jprs:order-expired": Text("オーダーの有効期限が切れました。", RARELY),
    "jprs:order-status": Text(
        "オーダーのステータスが、この要求を受け付ける状態ではありません。",
        RARELY,
    ),
    "jprs:authorization-expired": Text("認可の有効期限が切れました。", RARELY),
    "jprs:authorization-status": Text(
        "認可のステータスが、この要求を受け付ける状態ではありません。",
        RARELY,
    ),
    "jprs:certificate-unknown": Text(
        "失効対象の証明書がCAに存在しません。",
        "シリアル番号と、このCAが発行した証明書かどうかを確認してください。",
        ONCE,
    ),
    "jprs:method-invalid": Text(
        "許容されていないHTTPメソッドです。",
        "ディレクトリのURLと、要求を書き換えるプロキシがないことを確認し、なければcertdの開発元に報告してください。",
    ),
    "jprs:content-type-invalid": Text(
        "許容されていないContent-Typeです。",
        "要求を書き換えるプロキシがないことを確認し、なければcertdの開発元に報告してください。",
    ),
    "order-vanished": Text(
        "オーダーまたはその認可がCAに存在しません(404)。",
        RARELY,
        "オーダーの作成から10分以内は一時的とみなして10秒後から再確認し、その後は新しいオーダーを作成します。",
    ),
    "http:not-found": Text(
        "要求した対象がCAに存在しません(404)。", "続く場合は `cas.NAME.directory` を確認してください。"
    ),
    "http:too-many-requests": Text(
        "CAが429(要求過多)を返しました。",
        "制限が解けるまでお待ちください。繰り返す場合は `cas.NAME.limits` を下げてください。",
    ),
    "http:unavailable": Text(
        "CAが一時的に利用できません(5xx)。メンテナンス中の可能性があります。",
        NOTHING,
        "certdはRetry-Afterに従い、指定がなければ1分後から間隔を倍々に延ばしながら(最長6時間)再試行します。使用中の証"
        "明書に余裕がある間はアラートを出しません。",
    ),
    "http:proxy-authentication": Text(
        "プロキシが認証を求めています(407)。", "certdが通過できる `http.proxy` を設定してください。"
    ),
    "http:refused": Text(
        "CAまでの経路上の何かが、ACMEのエラーを伴わないHTTPステータスで要求を拒否しました。",
        "続く場合は `cas.NAME.directory`、`http.proxy`、HTTPを検査するファイアウォールを確認してください。",
    ),
    "transport:connect-failed": Text(
        "CAに接続できません(拒否、切断、経路なし、名前解決失敗)。",
        "続く場合はDNS、外向きポート443、`http.proxy` を確認してください。JPRSはメンテナンス中も接続を拒否します。",
    ),
    "transport:deadline-exceeded": Text(
        "CAが時間内に応答しませんでした。",
        "続く場合は経路のネットワークを確認してください。`http.timeout` で待ち時間を延ばせます。",
    ),
    "transport:tls-failed": Text(
        "CAとのTLS接続に失敗したか、CAサーバーの証明書を信頼できません。",
        "このマシンの時計を確認し、ca-certificatesを更新し、私設CAの場合は `cas.NAME.trust` を設定してください。",
    ),
    "transport:body-too-large": Text("CAの応答が大きすぎます。", CA_SUPPORT),
    "transport:insecure-url": Text(
        "CAがhttpsでないURLを示しました。certdは呼び出しません。",
        "`cas.NAME.directory` がhttps:// で始まることを確認し、正しければCAに連絡してください。",
    ),
    "transport:exchange": Text("CAとの通信で使える応答が得られませんでした。", NOTHING),
    "protocol:broken-answer": Text(
        "CAの応答がRFC 8555に反しています。",
        "メンテナンスページやプロキシのページであることが多いので、`http.proxy` とCAのお知らせを確認してください。"
        "続く場合はCAに連絡してください。",
    ),
    "pki:account-key": Text(
        "アカウント鍵を使用できません。",
        "accounts/NAME/account.keyをバックアップから復元してください。2048ビット以上のRSA、P-256、P-384の"
        "いずれかで、暗号化されていないPEMである必要があります。",
    ),
    "pki:key-mismatch": Text("証明書が、certdの作った鍵に対応していません。", CA_SUPPORT),
    "pki:names-missing": Text("要求したドメイン名が証明書に含まれていません。", CA_SUPPORT),
    "pki:names-extra": Text("要求していないドメイン名が証明書に含まれています。", CA_SUPPORT),
    "pki:expired": Text(
        "証明書の期限が切れているか、まだ有効ではありません。",
        "このマシンの時計を確認し、正しければCAに連絡してください。",
    ),
    "pki:key-unreadable": Text(
        "秘密鍵ファイルを鍵として読めません。",
        "ディスクと、ほかのプログラムが状態ディレクトリに書き込んでいないかを確認してください。",
    ),
    "pki:other": Text(
        "証明書、チェーンまたは鍵がcertdの検査に通りません。詳細はメッセージにあります。",
        "使用中のファイルはそのままです。CAから届いたものであれば、メッセージを添えてCAに連絡してください。",
    ),
    "challenge:not-presented": Text(
        "チャレンジへの応答を設置または撤去できませんでした。",
        "メッセージに従い、ディレクトリを作るか、certdの実行ユーザーに書き込みを許可してください。",
    ),
    "challenge:no-resources": Text(
        "空き容量などの不足で、チャレンジへの応答を設置できませんでした。",
        "webrootのファイルシステムに空きを作ってください(`df -h`、`df -i`)。",
    ),
    "os:no-resources": Text(
        "システムの空き容量、ハンドルまたはメモリーが不足しています。",
        "状態ディレクトリのファイルシステムに空きを作ってください。",
    ),
    "os:permission": Text(
        "certdに必要な操作がシステムに拒否されました。",
        "メッセージのパスの所有者とモード、SELinuxの拒否(`ausearch -m avc -ts recent`)を確認してください。",
    ),
    "os:error": Text("システムコールが失敗しました。", "メッセージを見て、ディスクとシステムログを確認してください。"),
    "order:no-challenge": Text(
        "設定した審査方法を、CAがそのドメイン名に対して提供していません。",
        "そのドメイン名の `challenge` をメッセージにある種類にしてください。ワイルドカードにはdns-01が必要です。",
    ),
    "order:authorization-gone": Text("認可が期限切れ、失効または無効化されています。", RARELY),
    "order:validation-failed": Text("CAがドメイン名を審査できませんでした。理由は示されていません。", WEBROOT),
    "order:invalid": Text(
        "CAがオーダーを無効としました。理由は示されていません。", "繰り返す場合はCAに問い合わせてください。"
    ),
    "state:lock-held": Text(
        "別のcertdがこの状態ディレクトリを使用中です。", "メッセージにあるプロセスを停止してください。"
    ),
    "state:unknown-schema": Text(
        "より新しいバージョンのcertdが書いた記録があります。",
        "そのバージョンのcertdを使うか、このバージョンの状態ディレクトリを復元してください。",
    ),
    "state:broken-record": Text(
        "記録が壊れていて読めません。",
        "メッセージにあるファイルをバックアップから復元してください。certdはそのファイルを変更しません。",
    ),
    "state:state": Text(
        "状態ディレクトリを使用できません。", "ディスクと、ディレクトリの所有者とモードを確認してください。"
    ),
    "config:config": Text("設定を使用できません。", "`certd check` が示す行を修正してください。"),
    "ocsp:ocsp": Text("OCSPの応答から状態を確認できません。", NOTHING),
    "ocsp:ocsp-unreachable": Text(
        "OCSPレスポンダーが応答しません。",
        "続く場合は、レスポンダーのポート80への外向き通信が開いているか確認してください。",
    ),
    "ocsp:ocsp-invalid": Text(
        "OCSPの応答を検証できません。", "このマシンの時計を確認し、正しければCAに連絡してください。"
    ),
    "command:command-failed": Text(
        "リロード、起動または `after` のコマンドが失敗しました。",
        "コマンドを手動で実行し、出力に従って対処してください。",
    ),
    "refused:refused": Text("この要求は今は実行できません。", "メッセージに従ってください。"),
    "bug:illegal-transition": Text("certdが想定外の状態になりました(不具合)。", "ログを添えて報告してください。"),
    "bug:error": Text("certdで想定外のエラーが発生しました。", "ログを添えて報告してください。"),
}
