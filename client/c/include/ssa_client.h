/* Clients of SSA services: from a service's name and what a client wants of it to a connection to the endpoint that has it.
 *
 * Every function that may fail returns a status, and writes what is wrong to `error`, if that is not null: a text that ends
 * by a zero, in at most `error_size` bytes. Texts are UTF-8. What is passed is read during the call and not kept. A service
 * may be used by several threads at once. Services are followed by one thread of the library, which a child of fork(2) does
 * not have: make them after forking. docs/client.md says more. */
#ifndef SSA_CLIENT_H
#define SSA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ssa_status {
    SSA_OK = 0,
    SSA_INVALID = 1,       /* an argument is faulty */
    SSA_NO_ANSWER = 2,     /* neither DNS nor shim answers */
    SSA_NO_PLAN = 3,       /* no address can be composed */
    SSA_NO_CONNECTION = 4, /* no target can be connected to */
    SSA_INTERNAL = 5       /* a fault of the library */
} ssa_status;

typedef struct ssa_service ssa_service;

/* How services are planned and connected to. Zeros are the defaults, and so is a null pointer to all of it. */
typedef struct ssa_options {
    const uint8_t *source;       /* the source of all connections, 16 bytes; null: the kernel's choice */
    const char *client_keys;     /* the folder of this client's own keys, a file each; null: none */
    uint32_t attempt_delay_ms;   /* 10 to 2000; 0: 250 */
    uint32_t attempt_timeout_ms; /* 10 to 300000; 0: 10000 */
} ssa_options;

/* What a client wants. Zeros are the defaults, but for the port. */
typedef struct ssa_want {
    const uint8_t *object;  /* the object key; null: none */
    size_t object_length;
    const uint64_t *chunk;  /* null: none */
    const uint8_t *source;  /* 16 bytes; null: as the options say */
    const uint8_t *replica; /* this one alone; null: any */
    uint64_t time;          /* seconds since 1970; 0: now */
    size_t targets;         /* at most so many, up to 16; 0: one for each replica */
    uint16_t port;          /* in the host's byte order */
    bool fixed_order;       /* replica 0 first; all random bits are zero */
} ssa_want;

/* A place to connect to. */
typedef struct ssa_target {
    uint8_t address[16];
    uint8_t source[16]; /* the connection has to come from it: bind(2) */
    uint16_t port;      /* in the host's byte order */
    uint8_t replica;
} ssa_target;

/* Makes a service of records that are known already. `apl` may be null where the records have their own lists. */
ssa_status ssa_service_fixed(const char *name, const char *apl, const char *const *records, size_t record_count,
                             const ssa_options *options, ssa_service **service, char *error, size_t error_size);

/* Asks the DNS for a service, and follows it from then on. `server` is ADDRESS:PORT; null: the system's servers. */
ssa_status ssa_service_dns(const char *name, const char *server, const ssa_options *options, ssa_service **service,
                           char *error, size_t error_size);

/* The same of the socket of an ssa-resolver. */
ssa_status ssa_service_socket(const char *name, const char *path, const ssa_options *options, ssa_service **service,
                              char *error, size_t error_size);

/* Ends a service, and following it. Null is nothing. */
void ssa_service_free(ssa_service *service);

/* Plans for what is wanted: writes at most `capacity` targets, in the order in which they are to be tried, and to `count` how
 * many there are. Allocates nothing but for errors. */
ssa_status ssa_plan(const ssa_service *service, const ssa_want *want, ssa_target *targets, size_t capacity, size_t *count,
                    char *error, size_t error_size);

/* Connects by TCP to what is wanted, to several targets one beside the other if need be (RFC 8305). Writes the descriptor,
 * which the caller closes, and to `target`, if it is not null, where it leads: zeros where no record is in force, and the
 * service's published address was taken. */
ssa_status ssa_connect(const ssa_service *service, const ssa_want *want, int *descriptor, ssa_target *target, char *error,
                       size_t error_size);

/* Remembers for 30 s that connections to a target fail, so that plans have it last. ssa_connect does so by itself. */
void ssa_report_failure(const ssa_service *service, const ssa_target *target);

#ifdef __cplusplus
}
#endif

#endif
