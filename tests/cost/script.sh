#!/bin/sh
# What people write in place of zk-hosts: the object by curl or the AWS CLI, its members by jq, the file by sed.
# It checks nothing, locks nothing, and knows one line a name.
# script.sh curl|aws HOSTS-FILE; the endpoint, the keys and AWS_CA_BUNDLE come from the environment.
set -eu
if [ "$1" = aws ]; then
    object=$(aws s3 cp --quiet s3://bucket/zk.json -)
else
    object=$(curl -sSf --cacert "$AWS_CA_BUNDLE" --aws-sigv4 "aws:amz:$AWS_REGION:s3" \
        --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$AWS_ENDPOINT_URL/bucket/zk.json")
fi
edits=$(echo "$object" | jq -r '.members | to_entries[] |
    "s/^[0-9a-fA-F:.]+([[:space:]]+\(.key)([[:space:]]|$))/\(.value | .ip? // .)\\1/"')
sed -E "$edits" "$2" > "$2.new"
if cmp -s "$2" "$2.new"; then rm "$2.new"; else mv "$2.new" "$2"; fi
