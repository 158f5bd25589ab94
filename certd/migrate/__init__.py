"""Coming from another ACME client. Nothing of the old client is changed or executed.

`acmesh`, `certbot` and `dehydrated` read an installation into what `found` has words for; `proposal` makes of it what
certd would keep, `carry` writes that, and `report` tells it. `owner` lets root write as the user that the state
directory belongs to.
"""
