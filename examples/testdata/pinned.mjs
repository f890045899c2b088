// Signs in, and waits for a line on stdin; by then somebody else has signed in.
import { once } from 'node:events'
import { CognitoAuth, kycFetch } from 'kyc-auth'

const auth = new CognitoAuth('staging')
await auth.login(process.env.USERNAME, process.env.PASSWORD)
console.log('signed in')
await once(process.stdin, 'data')
for (const call of [
  () => auth.getIdToken(), () => auth.refresh(), () => auth.getAuthorizationHeader(), () => auth.headers(), () => kycFetch('/kyc', {}, auth),
]) {
  console.log(await call().then((v) => `went on: ${v}`, (err) => err.message))
}
process.exit()
