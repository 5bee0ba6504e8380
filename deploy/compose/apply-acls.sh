#!/bin/bash
# Adds the access-control lists of acls.sh to the broker, as its superuser. Adding the same lists again changes nothing.
set -euo pipefail
export BOOTSTRAP=kafka:9092 COMMAND_CONFIG=/tmp/admin.properties PATH="/opt/kafka/bin:$PATH"
login='org.apache.kafka.common.security.scram.ScramLoginModule required'
cat > "$COMMAND_CONFIG" <<EOF
security.protocol=SASL_PLAINTEXT
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=$login username="admin" password="$SEATPOOL_KAFKA_PASSWORD_ADMIN";
EOF
. /etc/seatpool/acls.sh
