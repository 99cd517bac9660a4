import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { compile, installedSdk, readmeProgram, SDK, STRICT } from './sdk-kit.ts'
import { serve } from './serve.ts'

const FOLDER = installedSdk()

test('the SDK has no dependencies, and 8 KB at most when it is minified and compressed', async () => {
  const about = JSON.parse(readFileSync(join(SDK, 'package.json'), 'utf8')) as object
  assert.deepEqual(
    Object.keys(about).filter((name) => /dependencies/i.test(name)),
    [],
  )
  const entry = 'node_modules/payments-sdk/dist/index.js'
  const made = await build({
    absWorkingDir: FOLDER,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
  })
  const bytes = gzipSync(made.outputFiles[0]?.contents ?? '').length
  assert.ok(bytes > 1_000 && bytes <= 8_192, String(bytes))
})

for (const [name, scene, refused] of [
  ['a page', 'globalThis.document = {}', true],
  [
    'a worker of a page',
    "globalThis.WorkerGlobalScope = class {}; Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Mozilla/5.0' } })",
    true,
  ],
  [
    'an app',
    "Object.defineProperty(globalThis, 'navigator', { value: { product: 'ReactNative' } })",
    true,
  ],
  [
    'a worker at the edge',
    "globalThis.WorkerGlobalScope = class {}; Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Cloudflare-Workers' } })",
    false,
  ],
  ['Node.js', '', false],
] as const) {
  test(`in ${name} the SDK ${refused ? 'refuses to run, and says why' : 'runs'}`, () => {
    const program = `${scene}; const { connect } = await import('payments-sdk'); connect({ url: 'http://localhost' })`
    const args = ['--input-type=module', '-e', program]
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: FOLDER, encoding: 'utf8' })
    assert.equal(status === 0, !refused, stderr)
    if (refused) assert.match(stderr, /must not run in a browser.*could read the API key/)
  })
}

test('the examples of its README compile, run, and print what they say', async (t) => {
  const { url, call } = await serve(t)
  const faults = await call('GET', '/mock-gateway/faults')
  const chances = Object.entries(faults.body).filter(([, value]) => Number(value) < 1)
  await call('PUT', '/mock-gateway/faults', Object.fromEntries(chances.map(([name]) => [name, 0])))

  const code = readmeProgram()
  writeFileSync(join(FOLDER, 'readme.ts'), code)
  writeFileSync(join(FOLDER, 'node.d.ts'), 'declare const process: { env: Record<string, string> }')
  const compilerOptions = { ...STRICT, outDir: 'made' }
  const files = ['readme.ts', 'node.d.ts']
  writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const made = compile([], FOLDER)
  assert.equal(made.status, 0, made.stdout)

  const env = { ...process.env, PAYMENTS_URL: url, KEYS_FILE: join(FOLDER, 'keys') }
  const child = spawn(process.execPath, [join(FOLDER, 'made/readme.js')], { env, cwd: FOLDER })
  let printed = ''
  child.stdout.on('data', (bytes: Buffer) => (printed += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (printed += bytes.toString()))
  await new Promise((done) => child.once('close', done))
  const said = [...code.matchAll(/console\.log\(.*\) \/\/ (.*)/g)].map(([, line]) => line)
  assert.ok(said.length > 8)
  assert.deepEqual(printed.trim().split('\n'), said)
})

/** Programs of a caller; `wrong` is what the compiler must say, and null that it must be silent. */
const PROGRAMS: readonly (readonly [name: string, wrong: RegExp | null, code: string])[] = [
  [
    'an answer is read after asking whether it is one',
    null,
    `const answer = await payments.deposit({ user_id: 1, deposit: '1' })
     export const id = answer.ok ? answer.payment.payment_id : answer.problem.payment_id`,
  ],
  [
    'an answer must not be read blindly',
    /Property 'payment' does not exist/,
    `export const id = (await payments.deposit({ user_id: 1, deposit: '1' })).payment.payment_id`,
  ],
  [
    'an amount is no number',
    /'number' is not assignable to type 'string'/,
    `await payments.deposit({ user_id: 1, deposit: 1.5 })`,
  ],
  [
    'an answer has no floats',
    /'string' is not assignable to type 'number'/,
    `const one = await payments.get(1)
     if (one.ok) { const float: number = one.payment.amount; console.log(float) }`,
  ],
  [
    'an endpoint that is enabled again says what it has missed',
    null,
    `const on = await webhookEndpoints.update(1, { state: 'enabled' })
     export const snapshot = on.ok ? on.endpoint.missed?.snapshot : null`,
  ],
  [
    'a field that is not known is a mistake',
    /'currancy' does not exist/,
    `await payments.withdraw({ user_id: 1, amount: '1', currancy: 'USD' })`,
  ],
  [
    'a field that is needed is missed',
    /Property 'user_id' is missing/,
    `await payments.deposit({ deposit: '1' })`,
  ],
  [
    'codes of problems are known words',
    /no overlap/,
    `const answer = await payments.get(1)
     if (!answer.ok && answer.problem.code === 'insufficent_funds') console.log(1)`,
  ],
  [
    'a status is a known word, and a list is filtered by known ones',
    /is not assignable to type 'PaymentStatus/,
    `for await (const one of payments.list({ status: 'done' })) console.log(one)`,
  ],
  ['a wait says until when', /Argument of type|Expected 2 arguments/, `await payments.wait(1)`],
  [
    'the type of an event says what its data is',
    null,
    `const event = await webhooks.verify('', new Headers(), 'whsec_')
     if (event.type === 'payment.succeeded') console.log(event.data.user_id, event.data.status)
     if (event.type === 'dead_letter.opened') console.log(event.data.class)
     if (event.type === 'books.broken') console.log(event.data.violations)`,
  ],
  [
    'the data of an event is not that of another',
    /Property 'class' does not exist/,
    `const event = await webhooks.verify('', new Headers(), 'whsec_')
     if (event.type === 'payment.succeeded') console.log(event.data.class)`,
  ],
  [
    'an event of a thin endpoint says only which payment it is about',
    /Property 'status' does not exist/,
    `const event = await webhooks.verify('', new Headers(), 'whsec_', { payload: 'thin' })
     if (event.type === 'payment.succeeded') console.log(event.data.payment_id, event.data.status)`,
  ],
  [
    'a store may be asynchronous or not',
    null,
    `export const stores: KeyStore[] = [
       { keyOf: (_intent, fresh) => fresh }, { keyOf: async (_intent, fresh) => fresh } ]`,
  ],
]

test('the types let a right program pass, and stop a wrong one', () => {
  const head = `import { connect, webhooks, type KeyStore } from 'payments-sdk'
    export const { payments, webhookEndpoints } = connect({ url: '' })
    export type Store = KeyStore
    export const { verify } = webhooks\n`
  const files = PROGRAMS.map(([, , code], index) => {
    writeFileSync(join(FOLDER, `program-${index}.ts`), head + code)
    return `program-${index}.ts`
  })
  const compilerOptions = { ...STRICT, noEmit: true }
  writeFileSync(join(FOLDER, 'programs.json'), JSON.stringify({ compilerOptions, files }))
  const { stdout } = compile(['-p', 'programs.json', '--pretty', 'false'], FOLDER)
  for (const [index, [name, wrong]] of PROGRAMS.entries()) {
    const said = stdout.split('\n').filter((line) => line.startsWith(`program-${index}.ts`))
    if (wrong === null) assert.deepEqual(said, [], name)
    else assert.match(said.join('\n'), wrong, name)
  }
})
