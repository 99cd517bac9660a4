import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { systemClock } from '../src/adapters/clock.ts'
import { openGuards } from '../src/http/auth.ts'
import { buildServer } from '../src/http/server.ts'
import { mockGatewayRoutes } from '../src/mock-gateway/routes.ts'
import { mockGateway, type MockGateway } from '../src/mock-gateway/server.ts'
import { CHANCES, FAULTS_DEFAULT, type Faults } from '../src/mock-gateway/faults.ts'
import type { Clock } from '../src/ports.ts'

/** A gateway without faults: chances at 0, the values as in the default. */
export const FAULTS_NONE: Faults = {
  ...FAULTS_DEFAULT,
  ...Object.fromEntries(Object.keys(CHANCES).map((name) => [name, 0])),
}

/** A mock gateway on a real socket. */
export interface MockServer {
  readonly url: string
  readonly mock: MockGateway
  close(): Promise<void>
}

/** Serve a mock gateway without faults, except for `faults`, until the test ends. */
export async function serveMock(
  t: TestContext,
  faults: Partial<Faults> = {},
  journalPath?: string,
  clock: Clock = systemClock,
): Promise<MockServer> {
  const path = journalPath === undefined ? {} : { journalPath }
  const mock = mockGateway({ clock, faults: { ...FAULTS_NONE, ...faults }, ...path })
  const app = await buildServer({
    logger: pino({ level: 'silent' }),
    bodyBytesMax: 65_536,
    version: '0.0.0',
    title: 'Mock gateway',
    documented: false,
    guards: openGuards(systemClock),
    connections: { max: 1_000, elapsedMs: systemClock.elapsedMs },
    onAnswer: () => {},
  })
  await app.register(mockGatewayRoutes(mock), { prefix: '/api/v1/mock-gateway' })
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  return { url: `${origin}/api/v1/mock-gateway`, mock, close: () => app.close() }
}
