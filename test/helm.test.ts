import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SETTINGS } from '../src/config/settings.ts'
import { runClient, skipWithout } from './python.ts'
import { ROOT } from './sources.ts'

const CHART = join(ROOT, 'deploy/helm/payments')
/** The oldest that the chart is for, and the newest that is known. */
const VERSIONS = ['1.30', '1.37']

const read = (name: string) => readFileSync(join(CHART, name), 'utf8')

/** Why a chart cannot be rendered here; false: it can. */
function skipWithoutHelm(): false | string {
  if (spawnSync('helm', ['version']).error === undefined) return false
  return 'helm is not installed here: go install helm.sh/helm/v3/cmd/helm@v3.22.0'
}

/** Render the chart with these values, as JSON. Returns its text, or what helm said against it. */
function rendered(t: TestContext, values: object): { text: string } | { refused: string } {
  const folder = mkdtempSync(join(tmpdir(), 'payments-helm-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'values.json')
  writeFileSync(file, JSON.stringify(values))
  const args = ['template', 'shop', CHART, '--values', file, '--kube-version', '1.30.0']
  const env = { ...process.env, HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder }
  const { status, stdout, stderr } = spawnSync('helm', args, { encoding: 'utf8', env })
  return status === 0 ? { text: stdout } : { refused: stderr }
}

/** What the test reads of documents of Kubernetes. */
interface Pod {
  readonly automountServiceAccountToken?: boolean
  readonly securityContext?: { readonly runAsNonRoot?: boolean }
  readonly terminationGracePeriodSeconds?: number
  readonly topologySpreadConstraints?: readonly object[]
  readonly containers: readonly {
    readonly args: readonly string[]
    readonly env: readonly { readonly name: string; readonly value: string }[]
    readonly envFrom: readonly { readonly secretRef: { readonly name: string } }[]
    readonly ports?: readonly { readonly containerPort: number }[]
    readonly securityContext: Readonly<Record<string, unknown>>
    readonly resources: { readonly requests: object; readonly limits: object }
    readonly livenessProbe?: { readonly httpGet: { readonly path: string } }
    readonly readinessProbe?: { readonly httpGet: { readonly path: string } }
  }[]
}

interface Document {
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: {
    readonly template?: { readonly metadata: { readonly labels: object }; readonly spec: Pod }
    readonly selector?: object
    readonly podSelector?: { readonly matchLabels: object }
    readonly ingress?: readonly object[]
    readonly egress?: readonly object[]
  }
}

/** Render the chart, have it checked by the schemas of Kubernetes, and read it. */
async function documents(t: TestContext, values: object): Promise<Document[]> {
  const made = rendered(t, values)
  assert.ok('text' in made, 'refused' in made ? made.refused : '')
  const folder = mkdtempSync(join(tmpdir(), 'payments-helm-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'all.yaml')
  writeFileSync(file, made.text)
  // What the schemas of Kubernetes allow is of this form.
  return (await runClient('kubernetes.py', file, ...VERSIONS)) as Document[]
}

/** Everything switched on, with names of its own. */
const FULL = {
  image: { repository: 'registry.example.com/payments', tag: '1.2.3' },
  imagePullSecrets: [{ name: 'registry' }],
  secretName: 'shop-payments',
  migrateSecretName: 'shop-owner',
  settings: { APP_ENV: 'production', TRUSTED_PROXIES: '10.0.0.0/8', LOG_FORMAT: 'pretty' },
  api: { replicas: 3, processes: 2 },
  worker: { replicas: 4, unsettledClaim: 'unsettled' },
  networkPolicy: { metricsFrom: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }] },
  nodeSelector: { pool: 'payments' },
  tolerations: [{ key: 'payments', operator: 'Exists' }],
  affinity: { podAntiAffinity: {} },
  service: { type: 'LoadBalancer', port: 443, annotations: { internal: 'true' } },
  podAnnotations: { checked: 'yes' },
}

const podsOf = (all: readonly Document[]) =>
  all.flatMap(({ kind, metadata: { name }, spec: { template } }) =>
    template === undefined ? [] : [{ kind, name, pod: template.spec }],
  )

test('the chart is what Kubernetes takes, and each container may do hardly anything', async (t) => {
  const missing = skipWithoutHelm() || skipWithout('kubernetes_validate')
  if (missing) return t.skip(missing)
  for (const values of [{}, FULL]) {
    const all = await documents(t, values)
    assert.deepEqual(all.map(({ kind, metadata: { name } }) => `${kind} ${name}`).toSorted(), [
      'Deployment shop-api',
      'Deployment shop-worker',
      'Job shop-migrate',
      'NetworkPolicy shop-api',
      'NetworkPolicy shop-migrate',
      'NetworkPolicy shop-worker',
      'PodDisruptionBudget shop-api',
      'PodDisruptionBudget shop-worker',
      'Service shop',
    ])
    for (const { name, kind, pod } of podsOf(all)) {
      assert.equal(pod.automountServiceAccountToken, false, name)
      assert.equal(pod.securityContext?.runAsNonRoot, true, name)
      const [container, ...others] = pod.containers
      assert.ok(container !== undefined && others.length === 0, name)
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      assert.deepEqual(Object.keys(container.resources).toSorted(), ['limits', 'requests'])
      if (kind === 'Job') continue
      assert.equal(container.livenessProbe?.httpGet.path, '/livez', name)
      assert.equal(container.readinessProbe?.httpGet.path, '/readyz', name)
      assert.equal(pod.topologySpreadConstraints?.length, 2, name)
      // A stop in order takes as long as SHUTDOWN_TIMEOUT_SECONDS at its default.
      const graceS = pod.terminationGracePeriodSeconds ?? 0
      assert.ok(graceS > Number(SETTINGS.shutdownTimeoutMs.fallback) + 5, name)
    }
  }
})

test('the chart runs the roles that there are, by settings that there are, and secrets by name', async (t) => {
  const missing = skipWithoutHelm() || skipWithout('kubernetes_validate')
  if (missing) return t.skip(missing)
  const names = new Set<string>(Object.values(SETTINGS).map(({ name }) => name))
  const pods = podsOf(await documents(t, FULL))
  const containers = pods.flatMap(({ name, pod }) =>
    pod.containers.map((one) => ({ ...one, name })),
  )
  const shown = containers.map(({ name, args, env, envFrom, ports }) => {
    const settings = new Map(env.map((one) => [one.name, one.value]))
    for (const setting of settings.keys()) assert.ok(names.has(setting), setting)
    assert.equal(settings.size, env.length, 'none is given twice')
    // What the values say counts.
    assert.equal(settings.get('LOG_FORMAT'), 'pretty')
    assert.equal(settings.get('AUTO_CREATE_TABLES'), 'false')
    const secrets = envFrom.map(({ secretRef }) => secretRef.name)
    return [name, args.join(' '), secrets.join(' '), ports?.[0]?.containerPort ?? null]
  })
  assert.deepEqual(shown.toSorted(), [
    ['shop-api', 'api --processes 2', 'shop-payments', Number(SETTINGS.port.fallback)],
    ['shop-migrate', 'migrate', 'shop-payments shop-owner', null],
    ['shop-worker', 'worker', 'shop-payments', Number(SETTINGS.workerPort.fallback)],
  ])
})

test('nobody may connect to a worker or the migration, unless the values say who', async (t) => {
  const missing = skipWithoutHelm() || skipWithout('kubernetes_validate')
  if (missing) return t.skip(missing)
  const ingress = async (values: object) => {
    const all = await documents(t, values)
    const policies = all.filter(({ kind }) => kind === 'NetworkPolicy')
    for (const { spec } of policies) assert.ok((spec.egress?.length ?? 0) > 1)
    return policies.map(({ metadata: { name }, spec }) => `${name} ${spec.ingress?.length ?? 0}`)
  }
  assert.deepEqual((await ingress({})).toSorted(), [
    'shop-api 1',
    'shop-migrate 0',
    'shop-worker 0',
  ])
  assert.deepEqual((await ingress(FULL)).toSorted(), [
    'shop-api 1',
    'shop-migrate 0',
    'shop-worker 1',
  ])
})

const REFUSED: readonly (readonly [values: object, says: RegExp])[] = [
  [{ secretName: '' }, /secretName/],
  [{ api: { replicas: 0 } }, /replicas/],
  [{ settings: { PORT: 8000 } }, /PORT/],
  [{ settings: { port: '8000' } }, /port/],
  [{ workers: {} }, /workers/],
]

test('values that the chart does not know or cannot use are refused', (t) => {
  const missing = skipWithoutHelm()
  if (missing) return t.skip(missing)
  for (const [values, says] of REFUSED) {
    const made = rendered(t, values)
    assert.ok('refused' in made, JSON.stringify(values))
    assert.match(made.refused, says)
  }
})

test('the chart is of this version, and each of its values has its schema', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string
  }
  assert.match(
    read('Chart.yaml'),
    new RegExp(`^appVersion: ${version.replaceAll('.', '\\.')}$`, 'm'),
  )
  const { properties } = JSON.parse(read('values.schema.json')) as { properties: object }
  const given = [...read('values.yaml').matchAll(/^(\w+):/gm)].map(([, name = '']) => name)
  const known = Object.keys(properties).filter((name) => name !== 'global')
  assert.deepEqual(known.toSorted(), given.toSorted())
})
