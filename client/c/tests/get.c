/* Plans for an object, connects to it, and prints what the server says; then what is refused, and why. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ssa_client.h"

int main(int argc, char **argv) {
    const char *const records[] = {"v=ssa1; addr=hash(obj):10 const(0):54; replicas=2"};
    char error[256], text[INET6_ADDRSTRLEN];
    ssa_service *service = NULL;
    ssa_target targets[4], reached;
    size_t count = 0, read_bytes;
    int descriptor = -1;
    char answer[256];
    if (argc != 2) return 2;

    if (ssa_service_fixed("store.example", "2:2001:db8:5::/64", records, 1, NULL, &service, error, sizeof error) != SSA_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    ssa_want want = {.object = (const uint8_t *)argv[1], .object_length = strlen(argv[1]), .port = 80, .fixed_order = true};
    if (ssa_plan(service, &want, targets, 4, &count, error, sizeof error) != SSA_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    for (size_t place = 0; place < count; place++) {
        printf("%s %u\n", inet_ntop(AF_INET6, targets[place].address, text, sizeof text), targets[place].replica);
    }
    if (ssa_connect(service, &want, &descriptor, &reached, error, sizeof error) != SSA_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    read_bytes = (size_t)read(descriptor, answer, sizeof answer - 1);
    answer[read_bytes < sizeof answer ? read_bytes : 0] = 0;
    printf("%s\n", answer);
    close(descriptor);

    ssa_want without = {.port = 80};
    printf("%d %s\n", ssa_plan(service, &without, targets, 4, &count, error, sizeof error), error);
    printf("%d %s\n", ssa_plan(service, NULL, targets, 4, &count, error, sizeof error), error);
    printf("%d %s\n", ssa_plan(NULL, &want, targets, 4, &count, error, 8), error);
    printf("%d %s\n", ssa_service_fixed("x", NULL, records, 1, NULL, &service + 0, error, sizeof error), error);
    ssa_report_failure(service, &targets[0]);
    ssa_service_free(service);
    ssa_service_free(NULL);
    return 0;
}
