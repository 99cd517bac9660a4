import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../src/config/config.ts'
import { parseRoutes } from '../src/domain/routing.ts'
import { routeProblems } from '../src/process/routing.ts'
import { problemsOf } from './config-kit.ts'

const BANK = {
  GATEWAYS: 'bank',
  GATEWAY_BANK_DRIVER: 'http',
  GATEWAY_BANK_URL: 'https://bank.test',
}

test('a gateway of another name has settings of its own, and those of all where it has none', () => {
  const own = { GATEWAY_BANK_MAX_ATTEMPTS: '7', GATEWAY_BANK_IDEMPOTENT: 'false' }
  const all = { GATEWAY_TIMEOUT_SECONDS: '2', GATEWAY_AUTHORIZATION: 'Bearer of-another' }
  const { gateways, warnings } = loadConfig({ ...BANK, ...own, ...all })
  const [bank] = gateways
  assert(bank?.driver === 'http')
  assert.deepEqual(
    [bank?.name, bank?.driver, bank?.attemptsMax, bank?.timeoutMs, bank?.settings.url],
    ['bank', 'http', 7, 2_000, 'https://bank.test'],
  )
  assert.deepEqual([bank?.settings.idempotent, bank?.settings.authorization], [false, null])
  assert.deepEqual(warnings, [])
})

test('what is wrong with a gateway is named by its own variable, and no secret is told', () => {
  const wrong: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ GATEWAY_BANK_URL: '' }, /^GATEWAY_BANK_URL must be set/],
    [{ GATEWAY_BANK_URL: 'ftp://u:secret@x' }, /^GATEWAY_BANK_URL must be .*not shown/],
    [{ GATEWAY_BANK_DRIVER: 'swift' }, /^GATEWAY_BANK_DRIVER must be one of /],
    [{ GATEWAY_BANK_TIMEOUT_SECONDS: '20' }, /at least 3 x GATEWAY_BANK_TIMEOUT_SECONDS/],
    [{ GATEWAY_BANK_BACKOFF_BASE_SECONDS: '60' }, /^GATEWAY_BANK_BACKOFF_MAX_SECONDS must not/],
    [{ GATEWAY_ROUTES: '*=http' }, /^GATEWAY_ROUTES names http/],
  ]
  for (const [env, problem] of wrong) {
    const problems = problemsOf({ ...BANK, ...env })
    assert.equal(problems.length, 1, problems.join())
    assert.match(problems[0] ?? '', problem)
    assert.doesNotMatch(problems.join(), /secret/)
  }
})

test('a name whose settings would be mixed up with others is refused', () => {
  for (const name of ['key', 'max', 'backoff', 'outage', 'pending']) {
    assert.match(problemsOf({ GATEWAYS: name }).join(), new RegExp(`must not name ${name}:`))
  }
  for (const names of ['Bank', 'a,a', 'a-b', '1a', 'http,']) {
    assert.match(problemsOf({ GATEWAYS: names }).join(), /^GATEWAYS must be /)
  }
})

test('production refuses the mock and plain http of every gateway', () => {
  const production = {
    ...BANK,
    APP_ENV: 'production',
    DATABASE_URL: 'postgresql://db.internal/payments',
    GATEWAY_BANK_ECHO: 'required',
    WEBHOOK_SECRETS_KEY: Buffer.alloc(32, 'k').toString('base64'),
  }
  assert.deepEqual(problemsOf(production), [])
  const url = (at: string) => problemsOf({ ...production, GATEWAY_BANK_URL: at })
  assert.match(url('https://x.test/mock-gateway').join(), /^GATEWAY_BANK_URL must lead to a real/)
  assert.match(url('http://bank.test').join(), /^GATEWAY_BANK_URL must be https/)
  assert.match(problemsOf({ ...production, GATEWAY_BANK_ECHO: '' }).join(), /^GATEWAY_BANK_ECHO/)
})

test('routes are ordered rules of a type and a currency', () => {
  assert.deepEqual(parseRoutes('withdraw:eur=bank, *:RUB=local,deposit=http,*=http'), [
    { type: 'withdraw', currency: 'EUR', gateway: 'bank' },
    { type: null, currency: 'RUB', gateway: 'local' },
    { type: 'deposit', currency: null, gateway: 'http' },
    { type: null, currency: null, gateway: 'http' },
  ])
  for (const text of ['', 'http', '*:XXX=http', 'refund=http', '*=Http', '*=http,']) {
    assert.equal(parseRoutes(text), undefined, text)
  }
})

test('a rule that fits nothing its gateway does is named, with what mends it', () => {
  const named = (env: Record<string, string>) =>
    routeProblems(loadConfig({ ...BANK, GATEWAYS: 'http,bank', ...env }))
  const payouts = { GATEWAY_BANK_OPERATIONS: 'payout', GATEWAY_BANK_CURRENCIES: 'EUR' }
  for (const rule of ['deposit=bank', 'withdraw:USD=bank', 'deposit:EUR=bank']) {
    const [problem, ...others] = named({ ...payouts, GATEWAY_ROUTES: `${rule},*=http` })
    assert.equal(others.length, 0)
    assert.match(problem ?? '', /^GATEWAY_ROUTES must not have .*=bank, which bank does not carry/)
    assert.match(problem ?? '', /GATEWAY_BANK_OPERATIONS or GATEWAY_BANK_CURRENCIES$/)
  }
  for (const rule of ['withdraw=bank', '*=bank', '*:EUR=bank']) {
    assert.deepEqual(named({ ...payouts, GATEWAY_ROUTES: `${rule},*=http` }), [])
  }
})

test('the currency of the books and each that has a floor must have a route, both ways', () => {
  const currencies = { GATEWAY_BANK_CURRENCIES: 'EUR' }
  const found = (env: Record<string, string>) =>
    routeProblems(loadConfig({ ...BANK, ...currencies, ...env }))
  assert.deepEqual(found({ CURRENCY: 'EUR' }), [])
  const ofBooks = found({ CURRENCY: 'USD' })
  assert.equal(ofBooks.length, 2)
  assert.match(ofBooks.join(), /for deposit in USD, which CURRENCY names: add deposit:USD=/)
  assert.match(ofBooks.join(), /for withdraw in USD, which CURRENCY names: add withdraw:USD=/)
  const ofFloor = found({ CURRENCY: 'EUR', TRANSACTION_FEE_MIN: 'EUR:0.30,JPY:40' })
  assert.equal(ofFloor.length, 2)
  assert.match(ofFloor.join(), /for deposit in JPY, which TRANSACTION_FEE_MIN names/)
  const rules = { GATEWAYS: 'http,bank', GATEWAY_ROUTES: 'withdraw=http' }
  assert.match(found({ ...rules, CURRENCY: 'EUR' }).join(), /^GATEWAY_ROUTES .* deposit in EUR/)
})

test('production refuses a test key of Stripe, and no process takes one that cannot charge', () => {
  const stripe = { GATEWAYS: 'stripe', GATEWAY_STRIPE_SECRET_KEY: 'sk_test_0' }
  assert.deepEqual(problemsOf(stripe), [])
  const problems = problemsOf({ ...stripe, APP_ENV: 'production' })
  assert.match(problems.join('\n'), /^GATEWAY_STRIPE_SECRET_KEY must not be a test key/m)
  const publishable = problemsOf({ ...stripe, GATEWAY_STRIPE_SECRET_KEY: 'pk_live_0' })
  const fix = /^GATEWAY_STRIPE_SECRET_KEY must be a key of the account/
  assert.match(publishable.join(), fix)
  const organization = problemsOf({ ...stripe, GATEWAY_STRIPE_SECRET_KEY: 'sk_org_live_0' })
  assert.match(organization.join(), fix)
})
