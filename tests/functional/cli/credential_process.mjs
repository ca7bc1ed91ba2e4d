// Reads one object as often as lines come in on stdin, with the AWS SDK for JavaScript and a profile's
// credential_process, and prints what it read. SDK_FOR_JAVASCRIPT is a folder with node_modules in it.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const require = createRequire(join(process.env.SDK_FOR_JAVASCRIPT, "package.json"));
const { GetObjectCommand, S3Client } = require("@aws-sdk/client-s3");

const [bucket, key] = process.argv.slice(2);
const s3 = new S3Client({});
for await (const _ of createInterface({ input: process.stdin })) {
  const answer = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  console.log(await answer.Body.transformToString());
}
