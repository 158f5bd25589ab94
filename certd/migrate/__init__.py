"""Coming from another ACME client, and taking over a running site. Nothing of the old client is changed or executed.

Inside, for `certd import`: `acmesh`, `certbot` and `dehydrated` read an installation into what `found` has words for;
`proposal` makes of it what certd would keep, `carry` writes that, and `report` tells it. For `certd adopt`: `vhosts`
asks Apache for the files that it serves a name with, `takeover` makes them the live version, `links` turns the old
paths into symbolic links and back. `owner` lets root write as the user that the state directory belongs to.
"""
