#!/bin/sh
# Checks the files of docs/deploy as far as the tools are here: the unit by systemd-analyze, the
# manifests by PyYAML; and that every option in them is one that the program has.
#
#   scripts/check_deploy.sh [PROGRAM]       default: build/ci/gemma4
set -eu
cd "$(dirname "$0")/.."
program=${1:-build/ci/gemma4}
unit=docs/deploy/gemma4.service

if command -v systemd-analyze >/dev/null 2>&1; then
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  sed "s|/usr/local/bin/gemma4|$(realpath "$program")|" $unit >"$copy/gemma4.service"
  systemd-analyze verify --man=no "$copy/gemma4.service"
else
  echo "check_deploy: no systemd-analyze here; the unit was not verified"
fi

if python3 -c 'import yaml' 2>/dev/null; then
  python3 - docs/deploy/kubernetes/*.yaml <<'EOF'
import sys, yaml
kinds = {}
for path in sys.argv[1:]:
    for item in yaml.safe_load_all(open(path)):
        assert item['apiVersion'] and item['metadata']['name'] == 'gemma4', path
        kinds[item['kind']] = item
assert {'Deployment', 'Service', 'PodDisruptionBudget', 'HorizontalPodAutoscaler'} <= set(kinds), kinds
pod = kinds['Deployment']['spec']['template']
labels = pod['metadata']['labels']
for kind in ('Service', 'PodDisruptionBudget', 'Deployment'):
    selector = kinds[kind]['spec']['selector']
    assert selector.get('matchLabels', selector) == labels, kind
container = pod['spec']['containers'][0]
assert container['readinessProbe']['httpGet']['path'] == '/ready'
assert container['livenessProbe']['httpGet']['path'] == '/health'
names = {port['name'] for port in container['ports']}
assert kinds['Service']['spec']['ports'][0]['targetPort'] in names
mounted = {mount['name'] for mount in container['volumeMounts']}
assert mounted == {volume['name'] for volume in pod['spec']['volumes']}
EOF
else
  echo "check_deploy: no PyYAML here; the manifests were not read"
fi

help=$("$program" serve --help)
for option in $(grep -ohE -- '"?--[a-z][a-z-]*' docs/deploy/gemma4.service docs/deploy/kubernetes/gemma4.yaml |
  tr -d '"' | sort -u) $(sed -n 's/^ENTRYPOINT//p' docs/deploy/Dockerfile | grep -oE -- '--[a-z][a-z-]*'); do
  echo "$help" | grep -q -- "$option" || {
    echo "check_deploy: $option is no option of gemma4 serve" >&2
    exit 1
  }
done
echo "check_deploy: docs/deploy is right"
