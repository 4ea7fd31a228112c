package localkms

import (
	"fmt"
	"strings"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
)

// awsService is a service that protects what is its customers' with an AWS
// managed key: alias/aws/NAME, for as long as they name no key of their own.
type awsService struct {
	alias    string // after "alias/aws/"
	via      string // first label of its name in kms:ViaService
	name     string // as policies show it
	protects string // as descriptions show it
}

// awsServices are the services with such keys. It is a selection; AWS has more.
//
// Sources: KMS Developer Guide, "AWS managed keys" and "kms:ViaService", and
// descriptions and policies as AWS's DescribeKey and GetKeyPolicy print them;
// those of Kinesis, OpenSearch and Redshift are formed after the others.
var awsServices = []awsService{
	{"acm", "acm", "ACM", "ACM private keys"},
	{"backup", "backup", "Backup", "Backup data"},
	{"dynamodb", "dynamodb", "Amazon DynamoDB", "DynamoDB data"},
	{"ebs", "ec2", "EBS", "EBS volumes"},
	{"elasticfilesystem", "elasticfilesystem", "EFS", "EFS filesystems"},
	{"es", "es", "OpenSearch", "OpenSearch data"},
	{"glue", "glue", "Glue", "Glue data"},
	{"kinesis", "kinesis", "Kinesis", "Kinesis data"},
	{"lambda", "lambda", "AWS Lambda", "Lambda functions"},
	{"rds", "rds", "RDS", "RDS database volumes"},
	{"redshift", "redshift", "Redshift", "Redshift clusters"},
	{"s3", "s3", "Amazon S3", "S3 objects"},
	{"secretsmanager", "secretsmanager", "AWS Secrets Manager", "Secrets Manager data"},
	{"sns", "sns", "Amazon SNS", "SNS data"},
	{"sqs", "sqs", "Amazon SQS", "SQS messages"},
	{"ssm", "ssm", "SSM", "SSM parameters"},
}

// managedService finds the service an alias belongs to, "alias/aws/ebs".
func managedService(alias string) (s awsService, ok bool) {
	name, ok := strings.CutPrefix(alias, "alias/aws/")
	for _, s := range awsServices {
		if ok && s.alias == name {
			return s, true
		}
	}
	return s, false
}

// createManaged makes the AWS managed key of a service, with its alias, when
// that is first used in a Region. It is a doing of the store, with a record of its
// own. If what the alias was used for is refused, the key is taken back: to make
// one takes the permission to use it.
func (c *call) createManaged(s awsService) (id keyID, err error) {
	if c.w.store.locked {
		return id, errLocked
	}
	material, err := keyspec.Generate(keyspec.SymmetricDefault)
	if err != nil {
		return id, err
	}
	defer clear(material)
	if c.undo, err = c.savepoint("managed"); err != nil {
		return id, err
	}
	k := &cmk{
		region: c.region(), id: newKeyID(false), state: kmsclient.StateEnabled, spec: specSymmetric, usage: usageEncrypt,
		origin: originKMS, manager: s.alias, description: "Default key that protects my " + s.protects + " when no other key is defined",
		created: c.now.UnixMilli(), period: standardPeriod, rotation: c.now.AddDate(0, 0, standardPeriod).UnixMilli(),
	}
	if k.policy, err = c.putPolicy(s.policy(c.w.store.account, k.region)); err != nil {
		return id, err
	}
	if err := c.insertWithMaterial(k, material); err != nil {
		return id, err
	}
	err = c.exec("INSERT INTO alias VALUES (?, ?, ?, ?, ?)", k.region, "alias/aws/"+s.alias, k.id[:], k.created, k.created)
	if err != nil {
		return id, err
	}
	return k.id, c.recordDue("CreateKey", k)
}

// policy is the key policy of the managed key: everybody in the account may use
// it, through the service only; the account may look at it, and take back grants.
func (s awsService) policy(account, region string) string {
	return fmt.Sprintf(`{
  "Version": "2012-10-17",
  "Id": "auto-%[1]s-1",
  "Statement": [
    {
      "Sid": "Allow access through %[3]s for all principals in the account that are authorized to use %[3]s",
      "Effect": "Allow",
      "Principal": {
        "AWS": "*"
      },
      "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"],
      "Resource": "*",
      "Condition": {
        "StringEquals": {
          "kms:CallerAccount": "%[4]s",
          "kms:ViaService": "%[2]s.%[5]s.amazonaws.com"
        }
      }
    },
    {
      "Sid": "Allow direct access to key metadata to the account",
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::%[4]s:root"
      },
      "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
      "Resource": "*"
    }
  ]
}`, s.alias, s.via, s.name, account, region)
}
