#!/bin/sh
# Runs on the host, in a copy of this folder: npm does not work inside the build everywhere.
# The npm package "node" brings the Node.js that fauxqs 2 needs (22.5 or newer) and Debian trixie lacks.
set -eu
mkdir app
cd app
npm init -y > /dev/null
npm install --no-audit --no-fund --engine-strict=false fauxqs@2.4.1 node@24
# fauxqs 2.4.1 sets a NOT NULL column to NULL when a message is given back (visibility timeout 0) while it keeps its
# state in SQLite: the call fails and the message is gone until the emulator restarts. This says what was meant.
persistence=node_modules/fauxqs/dist/persistence.js
sed -i 's/this\.stmts\.updateMessageInflight\.run(null, null, null, null, messageId);/this.db.prepare("UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?").run(messageId);/' $persistence
grep -q 'visibility_deadline = NULL WHERE' $persistence
# A sync to disk for each statement takes two thirds of the emulator's time, and a write for each message of a batch much of
# the rest. Without them messages still survive the death of the emulator's process, which is what cases put it through.
sed -i 's/PRAGMA journal_mode = WAL"/PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF"/' $persistence
grep -q 'synchronous = OFF' $persistence
sed -i -E 's/register\("(Send|Delete)MessageBatch", (\w+)\)/register("\1MessageBatch", (body, store) => { let answer; const act = () => { answer = \2(body, store); }; store.persistence ? store.persistence.transaction(act) : act(); return answer; })/' \
  node_modules/fauxqs/dist/app.js
test "$(grep -c 'persistence.transaction(act)' node_modules/fauxqs/dist/app.js)" = 2
# Each queue's messages are read at the start, without an index by a walk through those of all queues.
sed -i 's/^CREATE TABLE IF NOT EXISTS sns_topics (/CREATE INDEX IF NOT EXISTS sqs_messages_queue ON sqs_messages (queue_name);\n\n&/' $persistence
grep -q 'sqs_messages_queue' $persistence
