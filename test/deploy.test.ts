import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SETTINGS } from '../src/config/settings.ts'
import { ROOT } from './sources.ts'

const UNITS = join(ROOT, 'deploy/systemd')
const COMPOSE = readFileSync(join(ROOT, 'compose.yaml'), 'utf8')
/** From 0 to 100 in tenths: what a unit may do beyond what it needs, by systemd's own measure. */
const EXPOSURE_MAX = '25'

const files = readdirSync(UNITS)
const unit = (name: string) => readFileSync(join(UNITS, name), 'utf8')

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'payments-deploy-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('systemd finds nothing wrong with the units, and that they may do hardly anything', (t) => {
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined) {
    return t.skip('systemd-analyze is not installed here')
  }
  const folder = folderOf(t)
  const paths = files.map((name) => join(folder, name))
  // The Node.js that there is: systemd looks for the program.
  for (const name of files) {
    const text = unit(name).replace('ExecStart=/usr/bin/node', `ExecStart=${process.execPath}`)
    writeFileSync(join(folder, name), text)
  }
  const analyze = (...args: string[]) =>
    spawnSync('systemd-analyze', args, { encoding: 'utf8', env: { PATH: process.env['PATH'] } })
  const verified = analyze('verify', '--man=no', ...paths)
  assert.deepEqual([verified.status, verified.stderr], [0, ''])
  for (const path of paths) {
    const exposed = analyze('security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, path)
    assert.equal(exposed.status, 0, exposed.stdout + exposed.stderr)
  }
})

test('each unit runs a role that there is, with settings that there are, and waits for the schema', () => {
  const names = new Set<string>(Object.values(SETTINGS).map(({ name }) => name))
  assert.deepEqual(files.toSorted(), [
    'payments-api.service',
    'payments-migrate.service',
    'payments-worker.service',
  ])
  for (const name of files) {
    const text = unit(name)
    const role = /^payments-(\w+)\.service$/.exec(name)?.[1] ?? ''
    assert.match(text, new RegExp(`^ExecStart=/usr/bin/node .*dist/main\\.js ${role}$`, 'm'))
    const given = [...text.matchAll(/^Environment=(.*)$/gm)].flatMap(([, all = '']) =>
      all.split(' '),
    )
    for (const [setting = ''] of given.map((one) => one.split('='))) {
      assert.ok(names.has(setting) || setting === 'NODE_ENV', `${name}: ${setting}`)
    }
    const waits = /^Wants=payments-migrate\.service$/m.test(text)
    assert.equal(waits, role !== 'migrate', name)
    // A stop in order takes as long as SHUTDOWN_TIMEOUT_SECONDS at its default.
    const stopS = Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1] ?? Infinity)
    assert.ok(stopS > Number(SETTINGS.shutdownTimeoutMs.fallback), name)
  }
})

test('what compose mounts into Prometheus and Grafana is there, where they look for it', (t) => {
  const mounts = [...COMPOSE.matchAll(/^ +- (\.\/deploy\/\S+?):(\S+):ro$/gm)]
  assert.equal(mounts.length, 5)
  const inside = new Map(mounts.map(([, from = '', to = '']) => [to, join(ROOT, from)]))
  for (const path of inside.values()) assert.ok(existsSync(path) && statSync(path).isFile(), path)
  const folder = /path: (\S+)/.exec(
    readFileSync(join(ROOT, 'deploy/monitoring/dashboards.yaml'), 'utf8'),
  )?.[1]
  assert.ok(inside.has(`${folder ?? ''}/payments.json`))

  const config = readFileSync(inside.get('/etc/prometheus/prometheus.yaml') ?? '', 'utf8')
  const rules = /rule_files: \[(.*)\]/.exec(config)?.[1] ?? ''
  assert.ok(inside.has(rules), rules)
  const targets = [...config.matchAll(/'(\w+):(\d+)'/g)].map(([, role = '', port = '']) => {
    assert.match(
      COMPOSE,
      new RegExp(`^ {2}${role}:\n {4}<<: \\*payments\n {4}command: \\[${role}\\]`, 'm'),
    )
    return port
  })
  assert.deepEqual(targets, [SETTINGS.port.fallback, SETTINGS.workerPort.fallback])

  if (spawnSync('promtool', ['--version']).error !== undefined) {
    return t.skip('promtool is not installed here')
  }
  const own = folderOf(t)
  const here = config
    .replace(rules, inside.get(rules) ?? '')
    .replace('/run/secrets/metrics_token', join(own, 'token'))
  writeFileSync(join(own, 'token'), 'pay_x')
  writeFileSync(join(own, 'prometheus.yaml'), here)
  const checked = spawnSync('promtool', ['check', 'config', join(own, 'prometheus.yaml')], {
    encoding: 'utf8',
  })
  assert.equal(checked.status, 0, checked.stdout + checked.stderr)
})
