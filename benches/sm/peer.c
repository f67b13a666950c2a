/* One scenario of benches/sm with OpenSSL or Tongsuo: both ends in one process, joined by memory; the CPU time of each end apart.
 *
 *     peer PROTOCOL SUITE GROUP MUTUAL RESUMED BYTES SECONDS    in a folder with ca.pem and {server,client}{,-enc}.{pem,key}
 *
 * PROTOCOL is tls13 or tlcp. With BYTES 0 it shakes hands and prints microseconds per handshake of server and client, else it sends records
 * of that size from the server and prints microseconds per record of sealing and opening.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

static void must(int good, const char *what)
{
    if (good > 0)
        return;
    fprintf(stderr, "peer: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int is_tlcp, mutual, resumed;
static SSL_SESSION *session;

/* TLS 1.3 gives its tickets after the handshake. */
static int keep(SSL *ssl, SSL_SESSION *fresh)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = fresh;
    return 1;
}

static SSL_CTX *context(int server, const char *suite, const char *group)
{
    SSL_CTX *ctx;
    const char *name = server ? "server" : "client";
    char file[64];
#ifdef NTLS
    if (is_tlcp) {
        ctx = SSL_CTX_new(server ? NTLS_server_method() : NTLS_client_method());
        SSL_CTX_enable_ntls(ctx);
    } else
#endif
        ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    must(ctx != NULL, "context");
    /* The root is not sent: the other end has it. */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
    if (is_tlcp || !resumed)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    if (resumed) {
        SSL_CTX_set_session_cache_mode(ctx, server ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_set_num_tickets(ctx, 1);
        if (!server)
            SSL_CTX_sess_set_new_cb(ctx, keep);
    } else {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
    if (is_tlcp) {
        must(SSL_CTX_set_cipher_list(ctx, suite), "suite");
    } else {
        must(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION), "version");
        must(SSL_CTX_set_ciphersuites(ctx, suite), "suite");
        must(SSL_CTX_set1_groups_list(ctx, group), "group");
        must(SSL_CTX_set1_sigalgs_list(ctx, "sm2sig_sm3"), "signatures");
    }
    if (server || mutual) {
#ifdef NTLS
        if (is_tlcp) {
            snprintf(file, sizeof file, "%s.pem", name);
            must(SSL_CTX_use_sign_certificate_file(ctx, file, SSL_FILETYPE_PEM), file);
            snprintf(file, sizeof file, "%s.key", name);
            must(SSL_CTX_use_sign_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM), file);
            snprintf(file, sizeof file, "%s-enc.pem", name);
            must(SSL_CTX_use_enc_certificate_file(ctx, file, SSL_FILETYPE_PEM), file);
            snprintf(file, sizeof file, "%s-enc.key", name);
            must(SSL_CTX_use_enc_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM), file);
        } else
#endif
        {
            snprintf(file, sizeof file, "%s.pem", name);
            must(SSL_CTX_use_certificate_file(ctx, file, SSL_FILETYPE_PEM), file);
            snprintf(file, sizeof file, "%s.key", name);
            must(SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM), file);
        }
    }
    must(SSL_CTX_load_verify_locations(ctx, "ca.pem", NULL), "ca.pem");
    SSL_CTX_set_verify(ctx, !server ? SSL_VERIFY_PEER : mutual ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    return ctx;
}

static double at_server, at_client;

static int step(SSL *ssl, double *spent)
{
    double begun = now();
    int done = SSL_do_handshake(ssl);
    *spent += now() - begun;
    must(done > 0 || SSL_get_error(ssl, done) == SSL_ERROR_WANT_READ, "handshake");
    return done > 0;
}

static void shake(SSL_CTX *server_ctx, SSL_CTX *client_ctx, SSL **server, SSL **client)
{
    BIO *near, *far;
    char byte;
    double begun = now();
    must(BIO_new_bio_pair(&near, 1 << 17, &far, 1 << 17), "pipe");
    *server = SSL_new(server_ctx);
    SSL_set_bio(*server, near, near);
    SSL_set_accept_state(*server);
    at_server += now() - begun;
    begun = now();
    *client = SSL_new(client_ctx);
    SSL_set_bio(*client, far, far);
    SSL_set_connect_state(*client);
    if (session)
        must(SSL_set_session(*client, session), "session");
    at_client += now() - begun;
    for (int left = 20, client_done = 0, server_done = 0; !(client_done && server_done); left--) {
        must(left, "end of the handshake");
        client_done = step(*client, &at_client);
        server_done = step(*server, &at_server);
    }
    begun = now();
    SSL_read(*client, &byte, 1); /* the ticket */
    at_client += now() - begun;
}

static void end(SSL *ssl, double *spent)
{
    double begun = now();
    /* A session whose connection did not say goodbye is not taken up again. */
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    *spent += now() - begun;
}

int main(int count, char **arguments)
{
    static char out[16384], in[16384];
    SSL *server, *client;
    long rounds = 0;
    if (count != 8) {
        fprintf(stderr, "usage: peer PROTOCOL SUITE GROUP MUTUAL RESUMED BYTES SECONDS\n");
        return 2;
    }
    is_tlcp = !strcmp(arguments[1], "tlcp");
    mutual = atoi(arguments[4]);
    resumed = atoi(arguments[5]);
    int bytes = atoi(arguments[6]);
    double limit = atof(arguments[7]) * 1e6;
    SSL_CTX *server_ctx = context(1, arguments[2], arguments[3]), *client_ctx = context(0, arguments[2], arguments[3]);
    for (int warm = 0; warm < 5; warm++) {
        shake(server_ctx, client_ctx, &server, &client);
        must(!SSL_session_reused(server) == !(resumed && warm), "resumption");
        end(server, &at_server);
        end(client, &at_client);
    }
    at_server = at_client = 0;
    if (bytes == 0) {
        while (at_server + at_client < limit) {
            shake(server_ctx, client_ctx, &server, &client);
            end(server, &at_server);
            end(client, &at_client);
            rounds++;
        }
    } else {
        shake(server_ctx, client_ctx, &server, &client);
        at_server = at_client = 0;
        while (at_server + at_client < limit) {
            double begun = now();
            must(SSL_write(server, out, bytes) == bytes, "write");
            at_server += now() - begun;
            begun = now();
            for (int read = 0; read < bytes;) {
                int got = SSL_read(client, in, sizeof in);
                must(got, "read");
                read += got;
            }
            at_client += now() - begun;
            rounds++;
        }
    }
    printf("%.4f %.4f\n", at_server / rounds, at_client / rounds);
    return 0;
}
