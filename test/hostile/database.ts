import { randomUUID } from 'node:crypto'
import { asAdmin } from '../harness.ts'

/** A database cloned from the template, for a suite: made when asked for, dropped at the end. */
export function createDatabase(): { url(): Promise<string>; drop(): Promise<void> } {
  const { TEST_DATABASE_URL: admin, TEST_TEMPLATE: template = 'payments_template' } = process.env
  const name = `hostile_${randomUUID().replaceAll('-', '')}`
  return {
    async url() {
      if (admin === undefined)
        throw new Error('run the tests with `npm test`: it brings a database')
      await asAdmin(admin, `create database ${name} template ${template} strategy file_copy`)
      const url = new URL(admin)
      url.pathname = `/${name}`
      return url.href
    },
    async drop() {
      if (admin !== undefined) await asAdmin(admin, `drop database if exists ${name} with (force)`)
    },
  }
}
