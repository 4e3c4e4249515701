from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_customer_token")]

    operations = [
        migrations.AddField(
            "user",
            "phone",
            models.CharField(
                blank=True, default="", help_text="For text messages, such as +441632960123.", max_length=16
            ),
        )
    ]
