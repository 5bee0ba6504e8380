#!/bin/bash
# Starts the broker. The first start creates the storage with the users and their passwords. Use `kafka-configs.sh` to change a password.
set -euo pipefail
bin=/opt/kafka/bin config=/tmp/server.properties data=/var/lib/kafka/data
login='org.apache.kafka.common.security.scram.ScramLoginModule required'
{
  cat /etc/seatpool/kafka.properties
  echo "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=$login username=\"admin\" password=\"$SEATPOOL_KAFKA_PASSWORD_ADMIN\";"
} > "$config"
if [ ! -e "$data/meta.properties" ]; then
  users=()
  for user in admin seatpool-users seatpool-seats seatpool-invoicing seatpool-notifier seatpool-operator seatpool-hr; do
    role=${user#seatpool-}
    password="SEATPOOL_KAFKA_PASSWORD_${role^^}"
    users+=(--add-scram "SCRAM-SHA-512=[name=$user,password=${!password}]")
  done
  "$bin/kafka-storage.sh" format --cluster-id "$("$bin/kafka-storage.sh" random-uuid)" --config "$config" "${users[@]}"
fi
exec "$bin/kafka-server-start.sh" "$config"
