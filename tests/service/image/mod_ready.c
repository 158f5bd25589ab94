/* Tells systemd what the parent of Apache does, at the moments at which httpd's own mod_systemd does (which Debian does
 * not build): RELOADING before a configuration is read, READY once it is loaded, and READY with the process's number
 * before the workers start. Only for tests. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "ap_mpm.h"

static void tell(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor;

    if (path == NULL || strlen(path) >= sizeof(address.sun_path))
        return;
    strcpy(address.sun_path, path);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return;
    (void)sendto(descriptor, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
                 offsetof(struct sockaddr_un, sun_path) + strlen(path));
    close(descriptor);
}

static int reading(apr_pool_t *conf, apr_pool_t *log, apr_pool_t *temp)
{
    /* A test asks for the hard case: the parent hears of the signal long after `-k graceful`, which comes here with a
     * state of its own, has ended, and then takes as long as thousands of virtual hosts do. */
    int slow = ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_CONFIG && access("/run/httpd/slow", F_OK) == 0;

    if (slow)
        sleep(3);
    tell("RELOADING=1\nSTATUS=Reading configuration...");
    if (slow)
        sleep(4);
    return OK;
}

static int loaded(apr_pool_t *conf, apr_pool_t *log, apr_pool_t *temp, server_rec *server)
{
    tell("READY=1\nSTATUS=Configuration loaded.");
    return OK;
}

static int serving(apr_pool_t *pool, ap_scoreboard_e kind)
{
    char text[80];

    snprintf(text, sizeof text, "READY=1\nMAINPID=%ld\nSTATUS=Processing requests...", (long)getpid());
    tell(text);
    return OK;
}

static void hooks(apr_pool_t *pool)
{
    ap_hook_pre_config(reading, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(loaded, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_pre_mpm(serving, NULL, NULL, APR_HOOK_LAST);
}

AP_DECLARE_MODULE(ready) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, hooks};
