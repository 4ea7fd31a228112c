// The AWS Encryption SDK with keyrings of keys of the KMS: what it encrypts it
// decrypts, and nothing that was altered. Expects endpoint, Region and an access
// key in the environment. Prints the names of its tests; a failed one ends it.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  buildClient, CommitmentPolicy, getClient, KMS, KmsKeyringNode, MultiKeyringNode,
  RawAesKeyringNode, RawAesWrappingSuiteIdentifier,
} from '@aws-crypto/client-node'

const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
const kms = new KMS({})
const newKey = async () => (await kms.createKey({})).KeyMetadata.Arn
const [first, second, third] = [await newKey(), await newKey(), await newKey()]
const encryptionContext = { app: 'diary', title: 'Tagebuch für 2026' }
const letter = randomBytes(100000)

// altered is a copy with one bit of the byte at a place, from the end if it is negative, changed.
function altered (message, place) {
  const copy = Buffer.from(message)
  copy[place < 0 ? copy.length + place : place] ^= 1
  return copy
}

// refusedBy wants the KMS to refuse, with an error of a name.
const refusedBy = name => error => {
  assert.match(String(error.stack) + JSON.stringify(error.errors ?? ''), new RegExp(name))
  return true
}

const tests = {
  async 'round trip' () {
    const keyring = new KmsKeyringNode({ generatorKeyId: first })
    const { result } = await encrypt(keyring, letter, { encryptionContext })
    assert(!result.includes(letter.subarray(0, 32)))
    const { plaintext, messageHeader } = await decrypt(keyring, result)
    assert(plaintext.equals(letter))
    const { 'aws-crypto-public-key': publicKey, ...rest } = messageHeader.encryptionContext
    assert.deepEqual({ ...rest }, encryptionContext)
    assert.equal(Buffer.from(publicKey, 'base64').length, 49) // a point of P-384, compressed
    assert.deepEqual(messageHeader.encryptedDataKeys.map(k => [k.providerId, k.providerInfo]), [['aws-kms', first]])
  },

  async 'an alias encrypts' () {
    await kms.createAlias({ AliasName: 'alias/esdk', TargetKeyId: first })
    const alias = first.replace(/key\/.*/, 'alias/esdk')
    const { result } = await encrypt(new KmsKeyringNode({ generatorKeyId: alias }), letter)
    const { plaintext } = await decrypt(new KmsKeyringNode({ keyIds: [first] }), result)
    assert(plaintext.equals(letter))
  },

  async 'a client of one\'s own' () {
    const clientProvider = getClient(KMS, { endpoint: process.env.AWS_ENDPOINT_URL_KMS, maxAttempts: 1 })
    const keyring = new KmsKeyringNode({ clientProvider, generatorKeyId: first })
    const { result } = await encrypt(keyring, letter)
    assert((await decrypt(keyring, result)).plaintext.equals(letter))
  },

  async 'several keys, each of which opens' () {
    const { result, messageHeader } = await encrypt(new KmsKeyringNode({ generatorKeyId: first, keyIds: [second] }), letter, { encryptionContext })
    assert.equal(messageHeader.encryptedDataKeys.length, 2)
    for (const key of [first, second]) {
      assert((await decrypt(new KmsKeyringNode({ keyIds: [key] }), result)).plaintext.equals(letter))
    }
    await assert.rejects(decrypt(new KmsKeyringNode({ keyIds: [third] }), result))
    assert((await decrypt(new KmsKeyringNode({ discovery: true }), result)).plaintext.equals(letter))

    await kms.disableKey({ KeyId: first })
    assert((await decrypt(new KmsKeyringNode({ keyIds: [first, second] }), result)).plaintext.equals(letter))
    await assert.rejects(decrypt(new KmsKeyringNode({ keyIds: [first] }), result), refusedBy('DisabledException'))
    await assert.rejects(encrypt(new KmsKeyringNode({ generatorKeyId: first }), letter), refusedBy('DisabledException'))
    await kms.enableKey({ KeyId: first })
  },

  async 'a key of the KMS and one of one\'s own' () {
    const own = new RawAesKeyringNode({
      keyName: 'own', keyNamespace: 'tests', unencryptedMasterKey: new Uint8Array(randomBytes(32)),
      wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    })
    const keyring = new MultiKeyringNode({ generator: new KmsKeyringNode({ generatorKeyId: first }), children: [own] })
    const { result } = await encrypt(keyring, letter, { encryptionContext })
    for (const one of [keyring, own, new KmsKeyringNode({ keyIds: [first] })]) {
      assert((await decrypt(one, result)).plaintext.equals(letter))
    }
  },

  async 'another context is refused' () {
    const keyring = new KmsKeyringNode({ generatorKeyId: first })
    const { result } = await encrypt(keyring, letter, { encryptionContext })
    const place = result.indexOf('diary')
    assert(place > 0)
    await assert.rejects(decrypt(keyring, altered(result, place)), refusedBy('InvalidCiphertextException'))
    const key = result.indexOf('aws-crypto-public-key') + 'aws-crypto-public-key'.length + 10
    await assert.rejects(decrypt(keyring, altered(result, key)))
  },

  async 'altered messages are refused' () {
    const keyring = new KmsKeyringNode({ generatorKeyId: first })
    const { result, messageHeader } = await encrypt(keyring, letter, { encryptionContext })
    const wrapped = result.indexOf(Buffer.from(messageHeader.encryptedDataKeys[0].encryptedDataKey))
    assert(wrapped > 0)
    for (let i = 25; i < messageHeader.encryptedDataKeys[0].encryptedDataKey.length; i += 31) { // past what names the key
      await assert.rejects(decrypt(keyring, altered(result, wrapped + i)), refusedBy('InvalidCiphertextException'))
    }
    for (const place of [-1, -50, Math.floor(result.length / 2)]) { // signature, body
      await assert.rejects(decrypt(keyring, altered(result, place)))
    }
    await assert.rejects(decrypt(keyring, result.subarray(0, result.length - 1)))
  },

  async 'material rotates' () {
    const keyring = new KmsKeyringNode({ generatorKeyId: first })
    const { result } = await encrypt(keyring, letter)
    await kms.rotateKeyOnDemand({ KeyId: first })
    assert((await decrypt(keyring, result)).plaintext.equals(letter))
  },
}

for (const [name, test] of Object.entries(tests)) {
  await test()
  console.log(name)
}
