#!/bin/sh
# A campaign as a CloudEvent in binary mode, and an answer without headers: apt install kcat.
# Campaigns are on a compacted topic: their key is <tenant>/<campaign_id>, or they are refused.
set -eu
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
id=$(cat /proc/sys/kernel/random/uuid)

printf '%s' "{\"campaign_id\":\"spring-notes\",\"title\":\"Notes in spring\",\"changed_at\":\"$now\"}" |
    kcat -P -b "$KAFKA" -t campaign.changed.v1 -X partitioner=murmur2_random \
        -k "$TENANT/spring-notes" \
        -H ce_specversion=1.0 -H "ce_id=$id" -H ce_source=/shop/admin \
        -H ce_type=campaign.changed.v1 -H "ce_time=$now" -H ce_subject=spring-notes \
        -H "ce_tenantid=$TENANT" -H "ce_correlationid=$id" -H content-type=application/json

id=$(cat /proc/sys/kernel/random/uuid)
printf '%s' "{\"answer_id\":\"$id\",\"tenant_id\":\"$TENANT\",\"prompt\":\"Which note app?\",\"surface\":\"app\",\"model\":\"Some Assistant\",\"text\":\"$1\",\"captured_at\":\"$now\"}" |
    kcat -P -b "$KAFKA" -t answer.captured.v1 -X partitioner=murmur2_random -k "$id"
