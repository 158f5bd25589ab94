"""What each code of `certd.acme.problems` means and what helps, in Japanese. Data only; see `explanations_en`."""

from __future__ import annotations

from typing import Final

from certd.acme.explanations_en import Text
from certd.model.codes import Kind

BY_KIND: Final = {
    Kind.VALIDATION: "certd は 1 分、10 分、100 分後、その後は 1 日 1 回、新しいオーダーを作成します。",
    Kind.TRANSIENT: "certd は 1 分後に再試行し、その後は間隔を倍にしながら最長 6 時間おきに再試行します。",
    Kind.RATE_LIMITED: "certd は CA が Retry-After で指定した時間(最短 1 分)待ちます。",
    Kind.OPERATOR: "certd は直ちに警報を出し、1 日 1 回再試行します。`certd renew NAME` の後は直ちに再試行します。",
    Kind.ACCOUNT: "certd は 10 分後に再確認し、同じ結果であればこの CA への発注を止めて警報を出します。",
    Kind.BUG: "certd は秘密情報を除く全情報をログに記録し、警報を出し、再試行は多くても 1 日 1 回です。",
    Kind.NEW_ORDER: "certd はこのオーダーを破棄して新しいオーダーを作成します(試行回数に数えます)。",
    Kind.POLL: "certd はオーダーと認可を読み直し、実際の状態から続行します。",
    Kind.SUCCESS: "certd はこれを完了とみなします。",
}

NOTHING: Final = "対応は不要です。数時間続く場合は、CA のメンテナンス情報を確認してください。"
CA_SUPPORT: Final = "このオーダーのログを添えて CA に連絡してください。このホスト側の問題ではありません。"
WEBROOT: Final = (
    "その名前のポート 80 で /.well-known/acme-challenge/ 以下に設定済みの webroot が見えることを確認してください。"
    "リライト、アクセス制限、別のバーチャルホスト、同じ名前の別サーバーに注意してください。"
)
RARELY: Final = "対応は不要です。繰り返す場合のみ調査してください。"

TEXTS: Final[dict[str, Text]] = {
    "acme:account-does-not-exist": Text(
        "指定されたアカウントが CA に存在しません。",
        "アカウントが CA 側で削除された場合は、未使用の EAB 認証情報を `cas.NAME.eab` に設定して certd を再読み込みして"
        "ください(JPRS では指定事業者が再発行します)。accounts/ を復元した場合は最新のバックアップか確認してください。",
        "使える EAB 認証情報が設定されている場合だけ再登録し、そうでなければこの CA への発注を止めて警報を出します。",
    ),
    "acme:already-revoked": Text(
        "失効対象の証明書は既に失効されています。", "対応は不要です。求めた状態になっています。"
    ),
    "acme:bad-csr": Text(
        "CSR が CA に受け付けられません。鍵長が短すぎるか、CA が扱わない種類の鍵です。",
        "証明書の `key` を CA が受け付ける種類にしてください。JPRS では rsa2048 です。",
    ),
    "acme:bad-nonce": Text(
        "CA がノンスを続けて拒否しました。",
        NOTHING,
        "エラーに付いてきたノンスで直ちに再送します。20 回続けて拒否された場合だけ失敗とし、後で再試行します。",
    ),
    "acme:bad-public-key": Text(
        "アカウント公開鍵の種類が CA に受け付けられません。",
        "新しい CA 名の下で `cas.NAME.account_key` を別の種類(rsa2048、p256、p384)にし、新しいアカウント鍵を作らせて"
        "ください。新しい EAB 認証情報が必要になることがあります。",
    ),
    "acme:bad-revocation-reason": Text(
        "送信した失効理由は CA で許可されていません。",
        "unspecified、keyCompromise、superseded、cessationOfOperation のいずれかで再度失効してください。",
    ),
    "acme:bad-signature-algorithm": Text(
        "アカウント鍵の署名アルゴリズムを CA がサポートしていません。",
        "CA がメッセージに挙げたアルゴリズムに合う `cas.NAME.account_key` を選んでください。rsa2048 は RS256、p256 は "
        "ES256、p384 は ES384 です。",
    ),
    "acme:caa": Text(
        "CAA レコードにより、この CA による証明書の発行が許可されていません。",
        'ドメインまたはその親に CAA レコードを追加してください。JPRS の場合: `example.jp. CAA 0 issue "jprs.jp"`。'
        "現在のレコードは `dig CAA NAME` で確認できます。",
    ),
    "acme:connection": Text(
        "CA が審査対象のサーバーに接続できませんでした。",
        "名前の A と AAAA レコードがこのサーバーを指し、ポート 80 がインターネット全体に開いていることを確認して"
        "ください(ファイアウォール、負荷分散装置、IPv6)。",
        "certd は間隔を空けて新しいオーダーを作成します。",
    ),
    "acme:dns": Text(
        "CA による名前の DNS 問い合わせが失敗しました。",
        "ドメインの全ネームサーバーが(TCP でも)応答し、DNSSEC の署名が有効であることを確認してください。",
    ),
    "acme:tls": Text(
        "審査中に CA が TLS のエラーに遭いました。",
        "http から https への転送先が、TLS 設定の壊れたサーバーでないことを確認してください。",
    ),
    "acme:incorrect-response": Text("チャレンジへの応答が、CA の期待したものと異なります。", WEBROOT),
    "acme:unauthorized": Text("CA の審査で、応答が見つからないか、誤っていました。", WEBROOT),
    "acme:account-status": Text(
        "ACME アカウントのステータスが不正で、CA に受け付けられません。",
        "アカウントの状態を CA(JPRS では指定事業者)に確認してください。無効であれば新しい EAB 認証情報を "
        "`cas.NAME.eab` に設定し、certd を再読み込みしてください。",
    ),
    "acme:registration-refused": Text(
        "CA がアカウントの登録を拒否しました。",
        "`cas.NAME.eab` の MAC 鍵識別子と MAC 鍵、未使用かどうか、有効期限(JPRS では発行から 14 日)を"
        "確認してください。",
    ),
    "acme:external-account-required": Text(
        "この CA のアカウント登録には EAB 認証情報が必要です。",
        "CA または指定事業者から受け取った MAC 鍵識別子と MAC 鍵を `cas.NAME.eab` に設定してください。",
    ),
    "acme:invalid-contact": Text(
        "コンタクトの URL の形式が不正です。",
        "`cas.NAME.contact` を修正してください。mailto: や表示名のないメールアドレスだけを書きます。",
    ),
    "acme:unsupported-contact": Text(
        "コンタクト URL のスキームを CA がサポートしていません。",
        "`cas.NAME.contact` にはメールアドレスだけを書いてください。",
    ),
    "acme:unsupported-identifier": Text(
        "CA がサポートしていない種類の識別子(IP アドレスなど)です。",
        "メッセージにある識別子を `domains` から除くか、対応する CA を選んでください。",
    ),
    "acme:rejected-identifier": Text(
        "対象の識別子に対して CA は証明書を発行しません。",
        "名前の綴りを確認し、JPRS の場合は FQDN が指定事業者に登録されているか確認してください。",
    ),
    "acme:malformed": Text(
        "CA が要求を不正と判断しました。必須項目の不足か、形式の誤りです。",
        "ログを添えて certd の開発元に報告してください。certd の更新で直ることもあります。",
    ),
    "acme:order-not-ready": Text(
        "finalize の準備ができていないオーダーに finalize を送りました。", "対応は不要です。次の確認で先へ進みます。"
    ),
    "acme:rate-limited": Text(
        "CA の要求数または発行数の制限に達しました。",
        "待ってください。繰り返す場合は `cas.NAME.limits` を下げるか、複数の名前を 1 枚の証明書にまとめてください。",
    ),
    "acme:server-internal": Text(
        "CA のサーバーで内部エラーが発生しました。",
        NOTHING,
        "間隔を倍にしながら再試行します。使用中の証明書に余裕がある間は警報を出しません。",
    ),
    "acme:user-action-required": Text(
        "CA が利用者の操作(新しい規約への同意など)を求めています。",
        "メッセージにあるページを開いて指示に従い、その後 `certd renew NAME` を実行してください。",
    ),
    "acme:compound": Text(
        "CA が複数のエラーを報告しました。", "メッセージの個々のエラーを見て、最初のものから直してください。"
    ),
    "acme:already-replaced": Text(
        "置き換え元に指定した証明書は、CA で既に置き換え済みです。",
        "対応は不要です。次のオーダーでは指定しません。",
        "置き換え元を指定しない新しいオーダーを作成します。",
    ),
    "acme:invalid-profile": Text(
        "指定した証明書プロファイルは CA にありません。",
        "CA のディレクトリにあるプロファイルを選ぶか、指定を外してください。",
    ),
    "acme:unknown": Text(
        "certd の知らないエラーで CA が要求を拒否しました。",
        "CA のメッセージを読み、解決しなければ CA のサポートに問い合わせてください。",
    ),
    "jprs:eab-invalid": Text(
        "EAB アカウント(認証情報)が不正で、アカウントを作成できません。",
        "JPRS の EAB 認証情報は発行から 14 日間有効で、1 回の登録で使用済みになります。指定事業者に再発行を依頼し、"
        "`cas.NAME.eab` に設定して certd を再読み込みしてください。",
    ),
    "jprs:contact-invalid": Text(
        "コンタクトメールアドレスが 0 件または 7 件以上、あるいは重複しています。",
        "`cas.NAME.contact` に重複のない 1 から 6 件のメールアドレスを設定してください。`certd check` が警告します。",
    ),
    "jprs:terms-not-agreed": Text(
        "利用規約に同意していません。",
        "certd が登録時にログに出す URL の規約を読み、`cas.NAME.terms_of_service_agreed: true` を設定してください。",
    ),
    "jprs:fqdn-invalid": Text(
        "発行できない FQDN が含まれています。",
        "メッセージにある FQDN を修正するか `domains` から除いてください。内部名や公開サフィックスには発行されません。",
    ),
    "jprs:order-expired": Text("オーダーの有効期限が切れました。", RARELY),
    "jprs:order-status": Text(
        "オーダーのステータスが、この要求を受け付ける状態ではありません。",
        RARELY,
        "certd はオーダーを読み直して実際の状態から続行し、できなければ新しいオーダーを作成します。",
    ),
    "jprs:authorization-expired": Text("認可の有効期限が切れました。", RARELY),
    "jprs:authorization-status": Text(
        "認可のステータスが、この要求を受け付ける状態ではありません。",
        RARELY,
        "certd はオーダーを読み直して実際の状態から続行し、できなければ新しいオーダーを作成します。",
    ),
    "jprs:certificate-unknown": Text(
        "失効対象の証明書が CA に存在しません。",
        "シリアル番号と、この CA が発行した証明書かどうかを確認してください。",
    ),
    "jprs:method-invalid": Text(
        "許容されていない HTTP メソッドです。",
        "ディレクトリの URL と、要求を書き換えるプロキシがないことを確認し、なければ certd の"
        "開発元に報告してください。",
    ),
    "jprs:content-type-invalid": Text(
        "許容されていない Content-Type です。",
        "要求を書き換えるプロキシがないことを確認し、なければ certd の開発元に報告してください。",
    ),
    "order-vanished": Text(
        "オーダーまたはその認可が CA に存在しません(404)。",
        RARELY,
        "オーダーの作成から 10 分以内は一時的とみなして再確認し、その後は新しいオーダーを作成します。",
    ),
    "http:not-found": Text(
        "要求した対象が CA に存在しません(404)。", "続く場合は `cas.NAME.directory` を確認してください。"
    ),
    "http:too-many-requests": Text(
        "CA が 429(要求過多)を返しました。", "待ってください。繰り返す場合は `cas.NAME.limits` を下げてください。"
    ),
    "http:unavailable": Text(
        "CA が一時的に利用できません(5xx)。メンテナンス中の可能性があります。",
        NOTHING,
        "間隔を倍にしながら、または Retry-After に従って再試行します。使用中の証明書に余裕がある間は警報を出しません。",
    ),
    "http:proxy-authentication": Text(
        "プロキシが認証を求めています(407)。", "certd が通過できる `http.proxy` を設定してください。"
    ),
    "http:refused": Text(
        "経路上の何かが、ACME のエラーを伴わない HTTP ステータスで要求を拒否しました。",
        "続く場合は `cas.NAME.directory`、`http.proxy`、HTTP を検査するファイアウォールを確認してください。",
    ),
    "transport:connect-failed": Text(
        "CA に接続できません(拒否、切断、経路なし、名前解決失敗)。",
        "続く場合は DNS、外向きポート 443、`http.proxy` を確認してください。JPRS はメンテナンス中も接続を拒否します。",
    ),
    "transport:deadline-exceeded": Text(
        "CA が時間内に応答しませんでした。",
        "続く場合は経路のネットワークを確認してください。`http.timeout` で待ち時間を延ばせます。",
    ),
    "transport:tls-failed": Text(
        "CA との TLS 接続に失敗したか、CA サーバーの証明書を信頼できません。",
        "時計を確認し、ca-certificates を更新し、私設 CA の場合は `cas.NAME.trust` を設定してください。",
    ),
    "transport:body-too-large": Text("CA の応答が大きすぎます。", CA_SUPPORT),
    "transport:insecure-url": Text(
        "CA が https でない URL を示しました。certd は呼び出しません。",
        "`cas.NAME.directory` が https:// で始まることを確認し、正しければ CA に連絡してください。",
    ),
    "transport:exchange": Text("CA との通信で使える応答が得られませんでした。", NOTHING),
    "protocol:broken-answer": Text(
        "CA の応答が RFC 8555 に反しています。",
        "メンテナンスページやプロキシのページであることが多いので、`http.proxy` と CA のお知らせを確認してください。"
        "続く場合は CA に連絡してください。",
    ),
    "pki:account-key": Text(
        "アカウント鍵が使えません。",
        "accounts/NAME/account.key をバックアップから復元してください。2048 ビット以上の RSA、P-256、P-384 の"
        "いずれかで、暗号化されていない PEM である必要があります。",
    ),
    "pki:key-mismatch": Text("証明書が、certd の作った鍵に対応していません。", CA_SUPPORT),
    "pki:names-missing": Text("注文した名前が証明書にありません。", CA_SUPPORT),
    "pki:names-extra": Text("注文していない名前が証明書に含まれています。", CA_SUPPORT),
    "pki:expired": Text(
        "証明書の期限が切れているか、まだ有効ではありません。",
        "このマシンの時計を確認し、正しければ CA に連絡してください。",
    ),
    "pki:key-unreadable": Text(
        "秘密鍵ファイルを鍵として読めません。",
        "ディスクと、ほかのプログラムが状態ディレクトリに書き込んでいないかを確認してください。",
    ),
    "pki:other": Text(
        "証明書、チェーンまたは鍵が certd の検査に通りません。詳細はメッセージにあります。",
        "使用中のファイルはそのままです。CA から届いたものであれば、メッセージを添えて CA に連絡してください。",
    ),
    "challenge:not-presented": Text(
        "チャレンジへの応答を設置または撤去できませんでした。",
        "メッセージに従い、ディレクトリを作るか、certd の実行ユーザーに書き込みを許可してください。",
    ),
    "challenge:no-resources": Text(
        "空き容量などの不足で、チャレンジへの応答を設置できませんでした。",
        "webroot のファイルシステムに空きを作ってください(`df -h`、`df -i`)。",
    ),
    "os:no-resources": Text(
        "システムの空き容量、ハンドルまたはメモリーが不足しています。",
        "状態ディレクトリのファイルシステムに空きを作ってください。",
    ),
    "os:permission": Text(
        "certd に必要な操作がシステムに拒否されました。",
        "メッセージのパスの所有者とモード、SELinux の拒否(`ausearch -m avc -ts recent`)を確認してください。",
    ),
    "os:error": Text("システムコールが失敗しました。", "メッセージを見て、ディスクとシステムログを確認してください。"),
    "order:no-challenge": Text(
        "設定した審査方法を、CA がその名前に対して提供していません。",
        "その名前の `challenge` をメッセージにある種類にしてください。ワイルドカードには dns-01 が必要です。",
    ),
    "order:authorization-gone": Text("認可が期限切れ、失効または無効化されています。", RARELY),
    "order:validation-failed": Text("CA が名前を審査できませんでしたが、理由を示していません。", WEBROOT),
    "order:invalid": Text(
        "CA がオーダーを無効としましたが、理由を示していません。", "繰り返す場合は CA に問い合わせてください。"
    ),
    "state:lock-held": Text(
        "別の certd がこの状態ディレクトリを使用中です。", "メッセージにあるプロセスを停止してください。"
    ),
    "state:unknown-schema": Text(
        "新しい版の certd が書いた記録があります。", "その版に戻すか、この版の状態を復元してください。"
    ),
    "state:broken-record": Text(
        "記録が壊れていて読めません。",
        "メッセージにあるファイルをバックアップから復元してください。certd はそれに触れません。",
    ),
    "state:state": Text(
        "状態ディレクトリが使えません。", "ディスクと、ディレクトリの所有者とモードを確認してください。"
    ),
    "config:config": Text("設定が使えません。", "`certd check` が示す行を修正してください。"),
    "ocsp:ocsp": Text("OCSP の応答から状態を確認できません。", NOTHING),
    "ocsp:ocsp-unreachable": Text(
        "OCSP レスポンダーが応答しません。",
        "続く場合は、レスポンダーのポート 80 への外向き通信が開いているか確認してください。",
    ),
    "ocsp:ocsp-invalid": Text(
        "OCSP の応答を検証できません。", "このマシンの時計を確認し、正しければ CA に連絡してください。"
    ),
    "command:command-failed": Text(
        "再読み込み、起動または after のコマンドが失敗しました。",
        "コマンドを手動で実行し、出力に従って直してください。",
    ),
    "refused:refused": Text("要求は今は実行できません。", "メッセージに従ってください。"),
    "bug:illegal-transition": Text("certd が想定外の状態に遭いました(不具合)。", "ログを添えて報告してください。"),
    "bug:error": Text("certd が想定外の失敗をしました。", "ログを添えて報告してください。"),
}
